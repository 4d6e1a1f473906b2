import math

import numpy as np
import pytest
from example_chunks import in_dtype, smooth_values

from nvc_jax.chunks import bodies
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.value_bytes import unpack_values
from nvc_jax.core.dtypes import DTYPES

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


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniformly_quantised_values_keep_the_bound(dtype: str) -> None:
    values = in_dtype(smooth_values(SHAPE), dtype)
    values[0, 0, :3] = values[3, 3, 3]
    missing_value = float(values[3, 3, 3])
    chunk = examine(values, missing_value)
    max_error = 0.01 * (chunk.high - chunk.low)
    body = bodies.encode_uniform(chunk, max_error, PADDED, math.inf)
    assert body is not None
    decoded = bodies.decode_uniform(body, SHAPE, PADDED, values.dtype)
    assert decoded.dtype == values.dtype
    errors = np.abs(decoded.astype(np.float64) - values.astype(np.float64))[chunk.valid]
    assert errors.max() <= max_error


def test_uniform_quantisation_is_skipped_where_it_cannot_win() -> None:
    chunk = examine(smooth_values(SHAPE).astype(np.float32))
    assert bodies.encode_uniform(chunk, 1e-9, PADDED, math.inf) is None  # too tight for float32
    assert bodies.encode_uniform(chunk, 0.01, PADDED, math.inf) is not None
    assert bodies.encode_uniform(chunk, 0.01, PADDED, 10) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_differences_and_packed_values_are_lossless(dtype: str) -> None:
    values = in_dtype(smooth_values(SHAPE), dtype)
    chunk = examine(values)
    differences = bodies.encode_differences(chunk, PADDED)
    np.testing.assert_array_equal(bodies.decode_differences(differences, SHAPE, PADDED, values.dtype), values)
    np.testing.assert_array_equal(unpack_values(bodies.encode_packed(chunk), SHAPE, values.dtype), values)


def test_bodies_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="a constant of float32 takes 4 bytes, not 3"):
        bodies.decode_constant(b"abc", SHAPE, np.dtype("float32"))
    with pytest.raises(ValueError, match="of 15 bytes lack their header"):
        bodies.decode_uniform(bytes(15), SHAPE, PADDED, np.dtype("float32"))
