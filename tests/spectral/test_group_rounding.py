from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import group_rounding, rounding_errors
from nvc_jax.spectral.decision_tables import take_decision_costs


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_the_kernel_sums_up_the_errors_of_the_reference(spread: float) -> None:
    n = 40  # more than one tile, the last not full
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    costs = jax.jit(take_decision_costs)(profiles, jnp.int32(1))
    rng = np.random.default_rng(int(spread))
    arguments = (
        *(costs.tables, costs.first_thresholds, costs.further_thresholds),
        jnp.asarray(rng.laplace(0, spread, (n, 512)), jnp.float32),
        jnp.asarray(rng.integers(0, len(costs.tables), n), jnp.int32),
    )
    errors = jax.jit(partial(group_rounding.rounding_errors, interpret=True))(*arguments)
    expected = jax.jit(rounding_errors.rounding_errors_reference)(*arguments)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    assert np.min(errors) > 0
