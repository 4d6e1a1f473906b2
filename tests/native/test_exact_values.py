import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.exact_values import LINE_DISTANCE
from nvc_jax.chunks.exact_values import sum_jumps as sum_jumps_reference
from nvc_jax.native.exact_values import count_patterns, sum_jumps

SIDES = st.tuples(*[st.integers(1, 17)] * 3)


def draw(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of which many are alike, whether they are valid, and bit patterns of frequent ones."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape).astype(np.float32)
    values[rng.random(shape) < 0.4] = 0.5
    values[rng.random(shape) < 0.2] = -0.0
    values[rng.random(shape) < 0.1] = np.nan
    valid = np.isfinite(values) & (rng.random(shape) < 0.9)
    patterns = np.array([0.5, -0.0, 0.0, 7.0], np.float32)[: rng.integers(1, 5)].view(np.uint32)
    return values, valid, patterns


@given(st.integers(0, 2**32 - 1), SIDES)
def test_jumps_equal_the_reference(seed: int, shape: tuple[int, ...]) -> None:
    values, valid, patterns = draw(seed, shape)
    sums = sum_jumps(values, valid, patterns, LINE_DISTANCE)
    np.testing.assert_allclose(sums, sum_jumps_reference(values, valid, patterns), rtol=1e-12)
    transposed = values.T, valid.T
    sums = sum_jumps(*transposed, patterns, LINE_DISTANCE)
    np.testing.assert_allclose(sums, sum_jumps_reference(*transposed, patterns), rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4095, 4096, 9000]))
def test_values_of_each_pattern_are_counted(seed: int, n: int) -> None:
    values, _, patterns = draw(seed, (n,))
    bits = values.view(np.uint32)
    counts = count_patterns(bits, patterns)
    np.testing.assert_array_equal(counts, [np.count_nonzero(bits == one) for one in patterns])
