import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.native.value_counts import count_ends


@given(st.integers(0, 1000), st.integers(1, 3000), st.sampled_from([np.float32, np.float64, np.int16]))
def test_values_at_both_ends_are_counted(seed: int, n: int, dtype: type) -> None:
    values = np.random.default_rng(seed).integers(-20, 20, n).astype(dtype)
    lowest, highest = [-19, -18, -15], [30, 17, 14]
    low, high = count_ends(values, lowest, highest)
    assert low.each == tuple(int((values == number).sum()) for number in lowest)
    assert high.each == tuple(int((values == number).sum()) for number in highest)
    assert (low.all, high.all) == (int((values <= -15).sum()), int((values >= 14).sum()))


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_either_zero_is_counted_as_zero(zero: float) -> None:
    values = np.array([zero, 1, 2, 3, 4, 5], np.float32)
    low, _ = count_ends(values, [-0.0, 1, 2], [5, 4, 3])
    assert low.each == (1, 1, 1)
