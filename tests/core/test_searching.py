import jax
import numpy as np
import pytest

from nvc_jax.core import searching

count_below, count_not_above = jax.jit(searching.count_below), jax.jit(searching.count_not_above)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 100])
def test_counts_are_those_of_numpy(n: int) -> None:
    ascending = np.sort(np.random.default_rng(n).integers(0, n, n)).astype(np.int32)
    numbers = np.arange(-1, n + 2, dtype=np.int32)
    below, not_above = (np.searchsorted(ascending, numbers, side) for side in ("left", "right"))
    np.testing.assert_array_equal(count_below(ascending, numbers), below)
    np.testing.assert_array_equal(count_not_above(ascending, numbers), not_above)


@pytest.mark.parametrize("dtype", [np.int64, np.uint32])
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3, 40)])
def test_different_integers_are_those_of_numpy(dtype: type, shape: tuple[int, ...]) -> None:
    integers = np.random.default_rng(0).integers(0, 50, shape).astype(dtype)
    different = searching.different_integers(integers)
    np.testing.assert_array_equal(different, np.unique(integers))
    assert different.dtype == dtype
