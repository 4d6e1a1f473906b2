from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.running_sums import by_kernel, by_scan, running_sum


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("n", [1, 1024, 2100])
def test_the_kernel_sums_up_as_the_specification(n: int, dtype: Any) -> None:
    values = np.random.default_rng(n).integers(0, 1000, n).astype(dtype)  # whole numbers, so exact
    for sums in (by_kernel(jnp.asarray(values), interpret=True), by_scan(jnp.asarray(values))):
        assert sums.dtype == dtype
        np.testing.assert_array_equal(sums, np.cumsum(values))


def test_more_values_than_the_kernel_takes_are_summed_up() -> None:
    assert int(running_sum(jnp.ones(70_000, jnp.int32))[-1]) == 70_000
