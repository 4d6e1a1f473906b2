import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, smooth_values

from nvc_jax.chunks.bodies import encode_differences, encode_packed
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.rank_body import decode_ranks, encode_ranks, estimate_rank_bits
from nvc_jax.core.header_fields import encode_varints

SHAPE = (17, 18, 35)


def counts_as_floats(dtype: str) -> np.ndarray:
    """Make floats of about 300 different values, of both signs, with both zeros."""
    values = (np.rint(300 * smooth_values(SHAPE)) - 100) * 0.37
    values[values == 0] = np.where(np.arange((values == 0).sum()) % 2, 0.0, -0.0)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_come_back_bit_for_bit(dtype: str) -> None:
    values = counts_as_floats(dtype)
    body = encode_ranks(ChunkValues.examine(values, ()), PADDED_SHAPE)
    assert body is not None
    decoded = decode_ranks(body, SHAPE, PADDED_SHAPE, values.dtype)
    assert decoded.dtype == values.dtype
    assert decoded.tobytes() == values.tobytes()


def test_gaps_take_no_place_in_the_table() -> None:
    values = counts_as_floats("float32")
    values[3:9, 2:7] = np.nan
    chunk = ChunkValues.examine(values, ())
    body = encode_ranks(chunk, PADDED_SHAPE)
    assert body is not None
    decoded = decode_ranks(body, SHAPE, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded[chunk.valid], values[chunk.valid])
    assert np.isfinite(decoded).all()


def test_floats_that_stem_from_integers_take_fewer_bytes() -> None:
    chunk = ChunkValues.examine(counts_as_floats("float32"), ())
    body = encode_ranks(chunk, PADDED_SHAPE)
    assert body is not None
    assert len(body) < 0.8 * min(len(encode_packed(chunk)), len(encode_differences(chunk, PADDED_SHAPE)))


def test_floats_of_all_kinds_of_values_have_no_ranks() -> None:
    assert encode_ranks(ChunkValues.examine(smooth_values(SHAPE), ()), PADDED_SHAPE) is None


def test_damaged_ranks_are_an_error() -> None:
    values = counts_as_floats("float32")
    body = encode_ranks(ChunkValues.examine(values, ()), PADDED_SHAPE)
    assert body is not None
    for damaged, fault in (
        (b"", "cut short"),
        (encode_varints(0, 0) + body[3:], "lack their table"),
        (encode_varints(1 << 20, 0) + body[3:], "lack their table"),
        (body[:20], "lack their table"),
    ):
        with pytest.raises(ValueError, match=fault):
            decode_ranks(damaged, SHAPE, PADDED_SHAPE, values.dtype)


def test_a_column_of_equal_values_does_not_hide_the_others() -> None:
    values = np.random.default_rng(0).normal(size=(64, 64, 128))
    values[:, :, 0] = 0
    assert estimate_rank_bits(ChunkValues.examine(values, ())) == np.inf
