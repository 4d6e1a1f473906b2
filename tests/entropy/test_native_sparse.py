import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.entropy import native_sparse
from nvc_jax.entropy.sparse_integers import find_by_blocks, follow_gaps

SHAPES = st.tuples(*(st.integers(1, 19) for _ in range(3)))
SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(SEEDS, SHAPES, st.sampled_from([0.0, 0.1, 1.0, 100.0]))
def test_the_kernel_finds_the_voxels_that_differ(
    seed: int, shape: tuple[int, int, int], allowed: float
) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, *shape)).astype(np.float32)
    first[rng.random(shape) < 0.1] = np.nan
    second[rng.random(shape) < 0.1] = np.inf
    with np.errstate(invalid="ignore"):
        expected = find_by_blocks(~(np.abs(first - second) <= allowed))
    np.testing.assert_array_equal(native_sparse.find_differing(first, second, allowed), expected)


@settings(deadline=None)
@given(SEEDS, SHAPES, st.sampled_from([1, 10, 1000, 2**22, 2**62]), st.integers(0, 60))
def test_the_kernel_follows_gaps_as_far_as_they_lie_in_the_volume(
    seed: int, shape: tuple[int, int, int], largest: int, n: int
) -> None:
    gaps = np.random.default_rng(seed).integers(0, largest, n)
    if largest == 2**62:
        gaps[1:] = 0  # the reference adds them up
    expected, found = follow_gaps(gaps, shape), native_sparse.positions_of_gaps(gaps, shape)
    assert (expected is None) == (found is None)
    if expected is not None and found is not None:
        np.testing.assert_array_equal(found, expected)
