import numpy as np
import pytest
from example_chunks import in_dtype, smooth_values

from nvc_jax.chunks import bodies
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.value_bytes import unpack_values
from nvc_jax.core.dtypes import CODED_DTYPES

SHAPE, PADDED = (5, 12, 17), (8, 16, 24)


def examine(values: np.ndarray, *missing_values: float) -> ChunkValues:
    return ChunkValues.examine(values, missing_values)


def test_one_value_stands_for_all_within_the_bound() -> None:
    values = np.array([[[2.0, 3.0, 5.0]]], np.float32)
    body = bodies.encode_constant(examine(values), 1.5)
    assert body is not None
    decoded = bodies.decode_constant(body, (1, 1, 3), values.dtype)
    assert decoded.dtype == values.dtype
    assert decoded.tolist() == [[[3.5, 3.5, 3.5]]]
    assert bodies.encode_constant(examine(values), 1.4) is None
    assert bodies.encode_constant(examine(values), None) is None


def test_equal_values_are_one_value_whatever_the_bound() -> None:
    values = np.full(SHAPE, 7, np.int16)
    values[0, 0] = -1
    for max_error in (None, 0.0, 3.0):
        body = bodies.encode_constant(examine(values, -1.0), max_error)
        assert body is not None
        assert (bodies.decode_constant(body, SHAPE, values.dtype) == 7).all()


def test_signed_zeros_are_one_value_unless_lossless() -> None:
    zeros = np.array([[[0.0, -0.0]]])
    assert bodies.encode_constant(examine(zeros), 0.0) is None
    assert bodies.encode_constant(examine(zeros), 0.1) == zeros[:, :, :1].tobytes()


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_uniformly_quantised_values_keep_the_bound(dtype: str) -> None:
    values = in_dtype(smooth_values(SHAPE), dtype)
    values[0, 0, :3] = values[3, 3, 3]
    missing_value = float(values[3, 3, 3])
    chunk = examine(values, missing_value)
    max_error = 0.01 * (chunk.high - chunk.low)
    body = bodies.encode_uniform(chunk, max_error, PADDED)
    assert body is not None
    decoded = bodies.decode_uniform(body, SHAPE, PADDED, values.dtype)
    assert decoded.dtype == values.dtype
    errors = np.abs(decoded.astype(np.float64) - values.astype(np.float64))[chunk.valid]
    assert errors.max() <= max_error


def test_uniform_quantisation_is_skipped_where_it_cannot_win() -> None:
    chunk = examine(smooth_values(SHAPE).astype(np.float32))
    assert bodies.encode_uniform(chunk, 1e-9, PADDED) is None  # too tight for float32
    assert bodies.encode_uniform(chunk, 0.01, PADDED) is not None


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_differences_and_packed_values_are_lossless(dtype: str) -> None:
    values = in_dtype(smooth_values(SHAPE), dtype)
    chunk = examine(values)
    differences = bodies.encode_differences(chunk, PADDED)
    np.testing.assert_array_equal(bodies.decode_differences(differences, SHAPE, PADDED, values.dtype), values)
    np.testing.assert_array_equal(unpack_values(bodies.encode_packed(chunk), SHAPE, values.dtype), values)


def test_bodies_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="a constant of float32 takes 4 bytes, not 3"):
        bodies.decode_constant(b"abc", SHAPE, np.dtype("float32"))
    with pytest.raises(ValueError, match="cut short"):
        bodies.decode_uniform(bytes(11), SHAPE, PADDED, np.dtype("float32"))


@pytest.mark.parametrize("dtype", CODED_DTYPES)
@pytest.mark.parametrize("n_levels", [1, 2, 7, 255])
def test_few_levels_come_back(dtype: str, n_levels: int) -> None:
    levels = in_dtype(np.linspace(0, 1, 256), dtype)[:n_levels]
    steps = np.indices(SHAPE).sum(axis=0) * n_levels // 64 % n_levels
    values = levels[np.repeat(steps[:, :, ::2], 2, axis=2)[:, :, :17]]
    body = bodies.encode_levels(examine(values), PADDED)
    assert body is not None
    decoded = bodies.decode_levels(body, SHAPE, PADDED, values.dtype)
    assert decoded.dtype == values.dtype
    np.testing.assert_array_equal(decoded, values)


def test_levels_of_signed_zeros_and_special_values() -> None:
    values = np.zeros(SHAPE, np.float32)
    values[:, :6], values[3] = -0.0, np.nan
    body = bodies.encode_levels(examine(values), PADDED)
    assert body is not None
    decoded = bodies.decode_levels(body, SHAPE, PADDED, values.dtype)
    assert np.isfinite(decoded).all()
    np.testing.assert_array_equal(np.signbit(decoded[[0, 1, 2, 4]]), np.signbit(values[[0, 1, 2, 4]]))


def test_too_many_levels_or_too_much_noise_are_refused() -> None:
    assert bodies.encode_levels(examine(smooth_values()), (24, 32, 40)) is None
    noise = np.random.default_rng(0).integers(0, 9, SHAPE).astype(np.uint8)
    assert bodies.encode_levels(examine(noise), PADDED) is None
    many = np.repeat(np.arange(24 * 32 * 20, dtype=np.int32).reshape(24, 32, 20), 2, axis=2)
    assert bodies.encode_levels(examine(many % 256), (24, 32, 40)) is None


def test_damaged_levels_are_errors() -> None:
    values = np.repeat(np.arange(9, dtype=np.int16), 4).reshape(1, 6, 6)
    body = bodies.encode_levels(examine(values), (1, 8, 8))
    assert body is not None
    for damaged in (b"", b"\0", body[:10], b"\x02" + body[1:5] + body[19:], body + b"\0"):
        with pytest.raises(ValueError, match=r"level|label"):
            bodies.decode_levels(damaged, values.shape, (1, 8, 8), values.dtype)
