from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral import dc_costs, group_dc_costs


@pytest.mark.parametrize(("n_blocks", "n_rows"), [(5, 18), (32, 124)])
def test_the_kernel_sums_up_the_costs_of_the_specification(n_blocks: int, n_rows: int) -> None:
    rng = np.random.default_rng(n_blocks)
    columns = jnp.asarray(rng.normal(size=(9, 13, n_blocks)), jnp.float32)
    predictors = jnp.asarray(rng.normal(size=(n_rows, n_blocks)), jnp.float32)
    arguments = (columns, predictors, jnp.float32(0.3))
    masks = rng.random((10, n_rows)) < 0.3
    sums = jax.jit(partial(group_dc_costs.sum_along_z, masks=masks, interpret=True))(*arguments)
    expected = jax.jit(partial(dc_costs.sum_along_z, masks=masks))(*arguments)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
