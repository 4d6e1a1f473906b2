import numpy as np
import pytest
from lattice_volumes import code_fixed, code_values
from reference_decoder import decode_ranks as decode_ranks_by_reference
from reference_lattice import decode_lattice, decode_lattice_body

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.rank_body import decode_ranks, encode_ranks, rank_values
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.values import decode_values

PADDED_SHAPE = (40, 32, 27)


def edges(shape: Shape3, seed: int = 0) -> np.ndarray:
    """Make a volume 0 … 1 with an empty part, an edge, a slope and noise."""
    z, y, x = np.indices(shape)
    noise = np.random.default_rng(seed).normal(0, 0.02, shape)
    return np.clip(np.where(np.hypot(z - 9, y - 14) < 11, 0.5 + x / 60 + noise, 0), 0, 1)


@pytest.mark.parametrize("shape", [PADDED_SHAPE, (33, 18, 7), (1, 32, 27), (5, 1, 1)])
@pytest.mark.parametrize("fraction_bits", [0, 4])
def test_the_reference_decodes_the_same_integers(shape: Shape3, fraction_bits: int) -> None:
    fixed = np.rint(edges(shape) * 700).astype(np.int32)
    stored, decoded = code_fixed(fixed, fraction_bits, PADDED_SHAPE)
    np.testing.assert_array_equal(decode_lattice(stored, shape, PADDED_SHAPE), decoded)


@pytest.mark.parametrize("extreme", [-1, 1])
def test_the_reference_wraps_where_the_package_does(extreme: int) -> None:
    noise = np.random.default_rng(1).integers(-1, 1, PADDED_SHAPE, endpoint=True) * extreme
    stored, decoded = code_fixed(noise * ((1 << 20) - 1), 0, PADDED_SHAPE)
    np.testing.assert_array_equal(decode_lattice(stored, PADDED_SHAPE, PADDED_SHAPE), decoded)


@pytest.mark.parametrize(
    ("dtype", "max_error"), [("u1", 0), ("u1", 3), ("i2", 40), ("f2", 0.02), ("f4", 0.01), ("f8", 0.003)]
)
def test_the_reference_decodes_the_same_values(dtype: str, max_error: float) -> None:
    values = edges(PADDED_SHAPE) * (1 if dtype[0] == "f" else 255)
    values = (values if dtype[0] == "f" else np.rint(values)).astype(dtype)
    stored, _ = code_values(values, max_error, PADDED_SHAPE)
    np.testing.assert_array_equal(
        decode_lattice_body(stored, values.dtype, PADDED_SHAPE, PADDED_SHAPE),
        decode_values(stored, PADDED_SHAPE, PADDED_SHAPE, values.dtype),
    )


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_reference_decodes_the_same_ranks(dtype: str) -> None:
    values = (np.rint(edges(PADDED_SHAPE) * 200) - 50).astype(dtype) / np.dtype(dtype).type(7)
    ranked = rank_values(ChunkValues.examine(values, ()), PADDED_SHAPE)
    assert ranked is not None
    body = encode_ranks(ranked)
    assert body is not None
    by_reference = decode_ranks_by_reference(body, values.dtype, PADDED_SHAPE, PADDED_SHAPE)
    assert by_reference.tobytes() == values.tobytes()
    assert decode_ranks(body, PADDED_SHAPE, PADDED_SHAPE, values.dtype).tobytes() == values.tobytes()
