import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.native.value_counts import N_ENDS, count_ends

FLOAT32 = np.dtype(np.float32)


@given(
    st.integers(0, 1000), st.lists(st.integers(0, 1000), min_size=1, max_size=3), st.sampled_from([1, 5, 400])
)
def test_the_last_distinct_values_are_counted(seed: int, sizes: list[int], spread: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-spread, spread, size).astype(FLOAT32) for size in sizes]
    lowest: dict[float, int] = {}
    highest: dict[float, int] = {}
    for part in parts:
        lowest, highest = count_ends(part, lowest, highest)
    numbers, counts = np.unique(np.concatenate(parts), return_counts=True)
    expected = list(zip(numbers.tolist(), counts.tolist(), strict=True))
    assert list(lowest.items()) == expected[:N_ENDS]
    assert list(highest.items()) == expected[::-1][:N_ENDS]


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [-0.0, 0.0]])
def test_both_zeros_are_one(zeros: list[float]) -> None:
    lowest, _ = count_ends(np.array([*zeros, 1, 2], FLOAT32), {}, {})
    assert lowest == {0.0: 2, 1.0: 1, 2.0: 1}
    assert str(min(lowest)) == "0.0"
