from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral import dc_costs, group_dc_costs


@pytest.mark.parametrize(("grid", "rows"), [((5, 3, 9), (18, 7, 20)), ((32, 16, 20), (124, 11, 70))])
def test_the_kernel_sums_up_the_costs_of_the_specification(
    grid: tuple[int, int, int], rows: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(grid[0])
    sums = jnp.asarray(rng.normal(size=grid), jnp.float32)
    predictors = [
        jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[1]), jnp.float32)
        for shape in zip(rows, grid, strict=True)
    ]
    masks = rng.random((10, rows[0])) < 0.3
    arguments = (sums, predictors, jnp.float32(0.3))
    costs = jax.jit(partial(group_dc_costs.sum_along_z, masks=masks, interpret=True))(*arguments)
    expected = jax.jit(partial(dc_costs.sum_along_z, masks=masks))(*arguments)
    np.testing.assert_allclose(costs, expected, rtol=1e-5)
