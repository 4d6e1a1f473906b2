import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.sampled_values import peaks_among
from nvc_jax.native.sampled_values import count_different, find_peaks


def draw(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of which some are frequent, whether they are valid, and places."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, n)).astype(np.float32)
    values = np.round(values, rng.integers(0, 4))
    for value in (0.5, -0.0, 0.0, -7.0, 1e-42, np.finfo(np.float32).max):
        values[rng.random(values.shape) < rng.uniform(0, 0.2)] = value
    values[rng.random(values.shape) < 0.1] = np.nan
    valid = np.isfinite(values) & (rng.random(values.shape) < rng.choice([0.0, 0.9, 1.0]))
    return values, valid, rng.permutation(values.size)[: rng.integers(0, values.size + 1)]


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 700), st.sampled_from([0.015, 0.2]), st.sampled_from([1.0, 4.0])
)
def test_peaks_equal_the_reference(seed: int, n: int, share: float, ratio: float) -> None:
    values, valid, places = draw(seed, n)
    found = find_peaks(values, valid, places, share, ratio)
    expected = peaks_among(values.reshape(-1)[places][valid.reshape(-1)[places]], share, ratio)
    np.testing.assert_array_equal(found, expected)
    transposed = values.T, valid.T
    expected = peaks_among(values.T.reshape(-1)[places][valid.T.reshape(-1)[places]], share, ratio)
    np.testing.assert_array_equal(find_peaks(*transposed, places, share, ratio), expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 700))
def test_different_values_are_counted(seed: int, n: int) -> None:
    values, valid, places = draw(seed, n)
    expected = len(np.unique(values.view(np.uint32).reshape(-1)[places][valid.reshape(-1)[places]]))
    for most in (0, expected - 1, expected, expected + 1, 10**6):
        if most >= 0:
            assert count_different(values, valid, places, most) == min(expected, most + 1)


@pytest.mark.parametrize("n", [1, 1 << 14])
def test_all_values_may_be_alike_or_different(n: int) -> None:
    places, valid = np.arange(n), np.ones(n, bool)
    alike, different = np.full(n, -0.0, np.float32), np.arange(n, dtype=np.float32)
    assert find_peaks(alike, valid, places, 0.015, 4.0).tolist() == [1 << 31]
    assert find_peaks(different, valid, places, 0.015, 4.0).size == (1 if n == 1 else 0)
    assert count_different(alike, valid, places, n) == 1
    assert count_different(different, valid, places, n) == n
