import math
from collections.abc import Callable

import numpy as np
import pytest
from example_chunks import smooth_values
from tiny_model.batching import ENCODED, BatchingCoder

from nvc_jax.chunks.gathered_coder import map_with_coders
from nvc_jax.chunks.transform_coder import ChunkToEncode, TransformCoder
from nvc_jax.core.shapes import Shape3

SHAPE: Shape3 = (8, 16, 8)
NUMBERS = (0.0, 1.0, 0.05)
"""Values that count as 0 and as 1, and the step."""
CODER = BatchingCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, SHAPE)
CHUNKS = [smooth_values(SHAPE, seed).astype(np.float32) for seed in range(5)]


def encode(values: np.ndarray, coder: TransformCoder) -> tuple[bytes, np.ndarray]:
    """Encode a chunk: its stream, and what it decodes to."""
    stored, reconstruct = coder.encode(values, *NUMBERS, SHAPE, 0)
    return stored, reconstruct()


def decode(stored: bytes, coder: TransformCoder) -> np.ndarray:
    """Decode a stream."""
    return coder.decode(coder.parse(stored, *NUMBERS, SHAPE))


def test_chunks_are_coded_together_as_alone() -> None:
    alone = [encode(values, CODER) for values in CHUNKS]
    ENCODED.clear()
    together = list(map_with_coders(encode, CHUNKS, CODER, 4))
    assert ENCODED == [4, 4]
    for (stored, reconstructed), (expected, values) in zip(together, alone, strict=True):
        assert stored == expected
        np.testing.assert_array_equal(reconstructed, values)
    decoded = list(map_with_coders(decode, [stored for stored, _ in alone], CODER, 4))
    np.testing.assert_array_equal(decoded, [values for _, values in alone])


def test_some_may_encode_while_others_decode() -> None:
    stored, values = encode(CHUNKS[1], CODER)

    def code(number: int, coder: TransformCoder) -> np.ndarray:
        return encode(CHUNKS[number], coder)[1] if number == 0 else decode(stored, coder)

    results = list(map_with_coders(code, [1, 0, 1], CODER, 4))
    np.testing.assert_array_equal(results, [values, encode(CHUNKS[0], CODER)[1], values])


def test_a_damaged_stream_is_an_error_for_those_decoded_with_it() -> None:
    stored, _ = encode(CHUNKS[0], CODER)
    results = map_with_coders(decode, [stored, stored[:-2]], CODER, 4)
    with pytest.raises(ValueError, match=r"."):
        next(results)


PROPERTIES: dict[str, Callable[[TransformCoder], object]] = {
    "step limits": lambda coder: coder.step_limits,
    "bytes to encode": lambda coder: coder.encoding_bytes,
    "bytes to decode": lambda coder: coder.decoding_bytes,
    "reserve": lambda coder: coder.decoding_reserve(*NUMBERS),
    "batch of chunks": lambda coder: coder.encode_batch(
        [ChunkToEncode(math.inf, values, *NUMBERS, SHAPE, 0) for values in CHUNKS]
    ),
    "batch of streams": lambda coder: coder.decode_batch(
        [coder.parse(encode(values, CODER)[0], *NUMBERS, SHAPE) for values in CHUNKS]
    ).tolist(),
    "preview": lambda coder: coder.decode_preview(
        coder.parse(encode(CHUNKS[0], CODER)[0], *NUMBERS, SHAPE)
    ).tolist(),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_coders_have_the_properties_of_the_model(name: str) -> None:
    found = list(map_with_coders(lambda name, coder: PROPERTIES[name](coder), [name] * 2, CODER, 4))
    assert found == [PROPERTIES[name](CODER)] * 2
