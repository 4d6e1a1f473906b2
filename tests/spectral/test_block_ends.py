import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import layout_for

import nvc_jax
from nvc_jax.spectral import block_ends, class_decision, profiles, scan_order
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import N_COEFFICIENTS

SHAPE, VALID = (24, 16, 16), (20, 13, 16)
N_BLOCKS = 3 * 2 * 2
STEPS = 1.35

count_integers = jax.jit(block_ends.count_integers, static_argnames="single_steps")
make_decision_costs = jax.jit(class_decision.make_decision_costs)
make_scan_order = jax.jit(scan_order.make_scan_order)
find_ends = jax.jit(scan_order.find_ends)


@pytest.fixture(scope="module")
def model(codec: nvc_jax.Codec) -> EntropyModel:
    return profiles.take_profile(codec.params["entropy"], 2)


@given(st.integers(0, 2**32 - 1))
def test_blocks_may_have_integers_a_unit_behind_the_last_coefficient_that_reaches_its_threshold(
    model: EntropyModel, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.laplace(0, rng.choice([0.05, 0.4, 3]), (N_BLOCKS, N_COEFFICIENTS)).astype(np.float32)
    values *= rng.random((N_BLOCKS, N_COEFFICIENTS)) < rng.choice([0.01, 1])
    classes = rng.integers(0, len(model.tables), N_BLOCKS).astype(np.int32)
    costs, layout = make_decision_costs(model), layout_for(SHAPE, VALID)
    scan = make_scan_order(model, layout)
    thresholds = np.asarray(costs.first_thresholds)[np.asarray(costs.tables)[classes]]
    ends = np.asarray(find_ends(scan, layout, np.abs(values * np.float32(STEPS)) >= thresholds))
    largest = np.asarray(scan.counts)[layout.partial_type] * np.asarray(layout.inside)
    expected = np.minimum(np.where(ends > 0, ends + 1, 0) * scan_order.END_OF_BLOCK_UNIT, largest)
    arguments = (costs, scan, layout, jnp.asarray(values), jnp.asarray(classes))
    np.testing.assert_array_equal(count_integers(*arguments, single_steps=STEPS), expected)
