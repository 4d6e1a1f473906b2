import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core import errors
from nvc_jax.native.float_errors import largest_and_squared_errors, largest_error


def arrays(seed: int, shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, others near them, and a mask."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 100, shape).astype(dtype)
    return values, (values + rng.normal(0, 3, shape)).astype(dtype), rng.random(shape) < 0.5


@given(
    st.integers(0, 1000),
    st.sampled_from([(1,), (7,), (5, 3, 9), (40, 64, 64)]),
    st.sampled_from([np.float32, np.float64, np.int16]),
    st.booleans(),
    st.sampled_from([1.0, 1e-3]),
)
def test_errors_are_those_of_numpy(
    seed: int, shape: tuple[int, ...], dtype: type, is_masked: bool, unit: float
) -> None:
    values, others, mask = arrays(seed, shape, dtype)
    counted = mask if is_masked else None
    expected, (squared, _) = errors.largest_and_squared_errors(values, others, counted, unit)
    result = largest_and_squared_errors(values, others, counted, unit)
    assert result[0] == expected == largest_error(values, others, counted)
    assert result[1] == pytest.approx(squared, rel=1e-12)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 37, 40])
def test_numbers_that_are_not_finite_count_where_the_mask_is_true(place: int, number: float) -> None:
    values, others, _ = arrays(0, (41,), np.float32)
    others[place] = number
    mask = np.arange(41) != place
    expected = errors.largest_error(values, others)
    np.testing.assert_equal(largest_error(values, others), expected)
    assert not np.isfinite(largest_and_squared_errors(values, others)[1])
    assert largest_error(values, others, mask) == errors.largest_error(values, others, mask) < 20


def test_arrays_may_have_gaps_in_memory() -> None:
    values, others, mask = arrays(0, (20, 30, 8), np.float32)
    parts = [array[::2, :, 1:6] for array in (values, others, mask)]
    assert largest_error(*parts) == errors.largest_error(*parts)


@given(
    st.integers(0, 1000),
    st.sampled_from([(7,), (5, 3, 9), (9, 16, 16)]),
    st.booleans(),
    st.sampled_from([1.0, 1e-3]),
)
def test_decoded_values_are_clipped_to_limits(
    seed: int, shape: tuple[int, ...], is_masked: bool, unit: float
) -> None:
    for dtype in (np.float32, np.float64):
        values, others, mask = arrays(seed, shape, dtype)
        others.flat[0], mask.flat[0] = np.inf, True
        counted, limits = mask if is_masked else None, (-50.0, 80.0)
        clipped = others.clip(*limits)
        expected, (squared, _) = errors.largest_and_squared_errors(values, clipped, counted, unit)
        result = largest_and_squared_errors(values, others, counted, unit, limits)
        assert result[0] == expected == largest_error(values, others, counted, limits)
        assert result[1] == pytest.approx(squared, rel=1e-12)
        others.flat[0] = np.nan
        assert np.isnan(largest_error(values, others, counted, limits))
