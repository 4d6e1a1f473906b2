import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.native.valid_range import range_of_valid

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float32, st.integers(1, 1200), elements=FLOATS), st.integers(0, 99), st.floats(0, 1))
def test_the_range_of_valid_values_is_found(values: np.ndarray, seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random(values.shape) < share
    valid[seed % len(values)] = True
    expected = (values[valid].min(), values[valid].max())
    values[~valid] = np.nan
    assert range_of_valid(values, valid) == expected


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]])
def test_both_zeros_are_one(zeros: list[float]) -> None:
    low, high = range_of_valid(np.array([[zeros]], np.float32), np.ones((1, 1, 2), bool))
    assert str(low) == str(high) == "0.0"
