import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import CONTEXT_MODELS, HEADER_MODELS, MODELS, layout_for, random_symbols

from nvc_jax.spectral import bitstream, scan_order
from nvc_jax.spectral.block_headers import BlockHeaders
from nvc_jax.spectral.entropy_model import EntropyModel

SHAPE, VALID_SHAPE = (24, 64, 64), (21, 64, 59)
LAYOUT = layout_for(SHAPE, VALID_SHAPE)
SHORT_LAYOUT = layout_for(SHAPE, (13, 10, 27))
"""Few blocks in the same arrays: a stream of one lane takes a step for each integer."""
encode, decode = jax.jit(bitstream.encode_stream), jax.jit(bitstream.decode_stream)
encode_reference, decode_reference = jax.jit(bitstream.encode_reference), jax.jit(bitstream.decode_reference)


@pytest.mark.parametrize("n_quantizers", [1, 2])
@pytest.mark.parametrize(
    "models", [MODELS, CONTEXT_MODELS, HEADER_MODELS], ids=["plain", "contexts", "headers"]
)
@pytest.mark.parametrize("n_lanes", [1, 7, 32, 96])
def test_the_kernels_equal_the_reference(
    n_quantizers: int, models: dict[int, EntropyModel], n_lanes: int
) -> None:
    model = models[n_quantizers]
    layout = SHORT_LAYOUT if n_lanes == 1 else LAYOUT
    symbols = random_symbols(layout, 5, seed=n_lanes, model=model)
    symbols = symbols._replace(points=jnp.where(layout.inside[:, None], symbols.points, 0))
    scan = jax.jit(scan_order.make_scan_order)(model, layout)
    stream = encode(model, layout, symbols, jnp.int32(n_lanes))
    reference = encode_reference(model, layout, scan, *symbols, jnp.int32(n_lanes))
    for own, expected in zip(stream, reference, strict=True):
        np.testing.assert_array_equal(own, expected)

    words = np.random.default_rng(n_lanes).integers(0, 1 << 16, len(stream.words))
    hostile = stream._replace(words=jnp.asarray(words, jnp.uint16))
    for read in (stream, hostile):
        decoded, expected = decode(model, layout, read), decode_reference(model, layout, scan, read)
        for own, field in zip(decoded, expected, strict=True):
            np.testing.assert_array_equal(own, field)
        headers: BlockHeaders = jax.jit(bitstream.decode_headers)(model, layout, read)
        np.testing.assert_array_equal(headers.first, decoded.first)
        np.testing.assert_array_equal(headers.classes, decoded.classes)
