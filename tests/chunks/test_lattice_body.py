import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, in_dtype, smooth_values

from nvc_jax.chunks import lattice_body
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.lattice.plan import plan_stream

SHAPE = (17, 18, 35)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_values_keep_the_bound_and_gaps_are_filled(dtype: str) -> None:
    values = in_dtype(smooth_values(SHAPE), dtype)
    missing_value = float(values[3, 3, 3])
    chunk = ChunkValues.examine(values, (missing_value,))
    max_error = 0.01 * (chunk.high - chunk.low)
    fixed = lattice_body.fix_chunk(chunk, max_error, PADDED_SHAPE)
    assert fixed is not None
    coded = lattice_body.encode_lattice(fixed, plan_stream(fixed.volume))
    assert coded is not None
    body, known, largest = coded
    decoded = lattice_body.decode_lattice(body, SHAPE, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded, known)
    assert decoded.dtype == values.dtype
    errors = np.abs(decoded.astype(np.float64) - values.astype(np.float64))[chunk.valid]
    assert errors.max() == pytest.approx(largest)
    assert largest <= max_error


def test_integers_stay_exact_without_an_error() -> None:
    values = in_dtype(smooth_values(SHAPE), "uint16")
    fixed = lattice_body.fix_chunk(ChunkValues.examine(values, ()), 0.0, PADDED_SHAPE)
    assert fixed is not None
    coded = lattice_body.encode_lattice(fixed, plan_stream(fixed.volume))
    assert coded is not None
    decoded = lattice_body.decode_lattice(coded[0], SHAPE, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded, values)


def test_there_is_no_body_where_the_error_is_too_small_for_the_range() -> None:
    chunk = ChunkValues.examine(smooth_values(SHAPE).astype(np.float64), ())
    assert lattice_body.fix_chunk(chunk, 1e-12, PADDED_SHAPE) is None
