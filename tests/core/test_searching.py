import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.searching import count_below, count_not_above


@pytest.mark.parametrize("n", [1, 2, 7, 8, 100])
def test_counts_are_those_of_numpy(n: int) -> None:
    ascending = np.sort(np.random.default_rng(n).integers(0, n, n)).astype(np.int32)
    numbers = np.arange(-1, n + 2, dtype=np.int32)
    entries, wanted = jnp.asarray(ascending), jnp.asarray(numbers)
    np.testing.assert_array_equal(count_below(entries, wanted), np.searchsorted(ascending, numbers, "left"))
    np.testing.assert_array_equal(
        count_not_above(entries, wanted), np.searchsorted(ascending, numbers, "right")
    )
