import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.core.valid_values import valid_mask
from nvc_jax.native.valid_range import is_within, mark_valid, range_of_valid

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float32, st.integers(1, 1200), elements=FLOATS), st.integers(0, 99), st.floats(0, 1))
def test_the_range_of_valid_values_is_found(values: np.ndarray, seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random(values.shape) < share
    valid[seed % len(values)] = True
    expected = (values[valid].min(), values[valid].max())
    values[~valid] = np.nan
    assert range_of_valid(values, valid) == expected


@given(
    hnp.arrays(np.float32, st.integers(1, 1200), elements=st.sampled_from([*range(-5, 6), 0.5, -0.0, 3e38])),
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([0.0, 2.0, 3e38, 1e300, np.nan]), max_size=3),
    st.sampled_from([(-np.inf, np.inf), (-2.0, np.inf), (-np.inf, 3.0), (0.25, 0.75), (-1e300, 4.5)]),
)
def test_valid_values_are_those_of_the_reference(
    values: np.ndarray, seed: int, missing: list[float], limits: tuple[float, float]
) -> None:
    for other in (np.nan, np.inf, -np.inf):
        values[np.random.default_rng(seed).random(values.shape) < 0.1] = other
    with np.errstate(over="ignore"):
        valid = valid_mask(values, missing, limits)
    found = mark_valid(values, missing, limits)
    np.testing.assert_array_equal(found.valid, valid)
    assert found.n_valid == np.count_nonzero(valid)
    assert (found.low, found.high) == ((values[valid].min(), values[valid].max()) if valid.any() else (0, 0))


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]])
def test_both_zeros_are_one(zeros: list[float]) -> None:
    low, high = range_of_valid(np.array([[zeros]], np.float32), np.ones((1, 1, 2), bool))
    assert str(low) == str(high) == "0.0"


@given(
    hnp.arrays(st.sampled_from([np.float32, np.int16]), st.integers(1, 1200), elements=st.integers(-9, 9)),
    st.integers(-10, 10),
    st.integers(-10, 10),
)
def test_all_values_within_a_range_are(values: np.ndarray, low: int, high: int) -> None:
    limits = values.dtype.type(low), values.dtype.type(high)
    assert is_within(values, *limits) == bool(((values >= low) & (values <= high)).all())
    assert is_within(values[::2], *limits) == bool(((values[::2] >= low) & (values[::2] <= high)).all())


@pytest.mark.parametrize("other", [np.nan, np.inf, -np.inf, 3.0000002])
def test_a_single_value_beyond_the_range_is_seen(other: float) -> None:
    values = np.full(1000, 3, np.float32)
    assert is_within(values, -3.0, 3.0)
    for place in (0, 511, 512, 999):
        changed = values.copy()
        changed[place] = other
        assert not is_within(changed, -3.0, 3.0)
