from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import class_decision, group_class_costs
from nvc_jax.spectral.class_decision import DecisionCosts
from nvc_jax.spectral.decision_tables import take_decision_costs

N_BLOCKS = 70  # more than one tile, the last not full


@pytest.fixture(scope="module")
def costs() -> DecisionCosts:
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    return jax.jit(take_decision_costs)(profiles, jnp.int32(1))


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0, 1e9])
@pytest.mark.parametrize("n_classes", [3, 64])
def test_the_kernel_equals_the_reference(costs: DecisionCosts, spread: float, n_classes: int) -> None:
    rng = np.random.default_rng(int(spread))
    values = rng.laplace(0, spread, (N_BLOCKS, 512)) * 0.99 ** np.arange(512)
    values[:20] = np.rint(values[:20] * 256) / 256
    values = jnp.asarray(values, jnp.float32)
    costs = costs._replace(
        pairs=costs.pairs[:, :n_classes],
        zero_cost=costs.zero_cost[:n_classes],
        signalling_cost=costs.signalling_cost[:n_classes],
    )
    thresholds, single_steps = (77, 128, 77), 1.35
    rule = group_class_costs.Rule(single_steps, thresholds, error_weight=3, error_shift=3)
    arguments = (costs.weights, costs.zero_cost, costs.signalling_cost)
    kernel = jax.jit(partial(group_class_costs.class_costs, rule, interpret=True))
    reference = jax.jit(partial(class_decision.class_costs_reference, thresholds=thresholds))
    expected = reference(costs, values * np.float32(single_steps))
    np.testing.assert_array_equal(kernel(values, *arguments), expected)
