from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for, split_coefficients

import nvc_jax
from nvc_jax.spectral import (
    block_ends,
    class_choice,
    class_decision,
    group_block_ends,
    group_class_choice,
    scan_order,
)
from nvc_jax.spectral.decision_tables import take_decision_costs
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.spectral.profiles import take_profile

PROFILES = nvc_jax.load_codec("nvc-1").params["entropy"]
MODEL = jax.jit(take_profile)(PROFILES, jnp.int32(1))
RULE = class_decision.class_rule(DEFAULT_OPTIONS, 1.35)
UNITS = class_decision.COST_UNITS


@jax.jit
def by_kernel(ends: Any, tables: tuple, signalling: tuple, values: Any, order: Any, n: Any) -> tuple:
    return group_class_choice.choose_classes(
        RULE, values, tables, signalling, order, n, UNITS, ends, interpret=True
    )


@jax.jit
def by_reference(costs: tuple, signalling: tuple, values: jax.Array, order: jax.Array, n: jax.Array) -> tuple:
    steps = values * np.float32(RULE.single_steps)
    of_each = class_decision.class_costs_reference(costs, steps, RULE.thresholds)
    classes, _ = class_choice.choose_reference(of_each, *signalling, order, n)
    return classes, jnp.take_along_axis(of_each, classes[:, None], axis=1)[:, 0]


@jax.jit
def count_integers(costs: Any, scan: Any, layout: Any, values: jax.Array, classes: jax.Array) -> jax.Array:
    return block_ends.count_integers(costs, scan, layout, values, classes, RULE.single_steps)


def coefficients_of(n: int) -> jax.Array:
    rng = np.random.default_rng(n)
    decay = np.exp(-np.arange(512) / rng.choice([3, 20, 60], (n, 1)))
    return jnp.asarray(rng.laplace(0, rng.choice([0.1, 1, 5], (n, 1)), (n, 512)) * decay, jnp.float32)


@pytest.mark.parametrize("n_coded", [0, 1, 37, 150])
@pytest.mark.parametrize(("n", "n_classes"), [(1, 64), (62, 64), (150, 64), (150, 5)])
def test_the_kernel_equals_the_reference(n: int, n_classes: int, n_coded: int) -> None:
    costs = jax.jit(take_decision_costs)(PROFILES, jnp.int32(1))
    tables = group_class_choice.CostTables(costs.weights, costs.zero_cost, costs.signalling_cost)
    chosen = np.arange(n_classes) * (len(costs.tables) // n_classes)
    tables = group_class_choice.CostTables(*(leaf[..., chosen] for leaf in tables))
    costs = costs._replace(
        pairs=costs.pairs[:, chosen], zero_cost=tables.zero_cost, signalling_cost=tables.signalling_cost
    )
    bits, before, after = jax.jit(class_choice.signalling_bits)(MODEL)
    rows = np.r_[chosen, len(bits)]
    matrices = (matrix[rows][:, chosen] for matrix in (before, after))
    signalling = group_class_choice.Signalling(bits[chosen], *matrices)
    values = coefficients_of(n)
    order = np.random.default_rng(n).permutation(n)
    others = (jnp.asarray(order, jnp.int32), jnp.int32(min(n_coded, n)))
    classes, of_class, _ = by_kernel(None, tables, signalling, FloatCoefficients(values.T), *others)
    expected, of_expected = by_reference(costs, signalling, values, *others)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(of_class, of_expected)
    assert n == 1 or len(np.unique(classes)) > 2


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_kernel_counts_the_integers_of_the_reference_for_coefficients_in_parts(scale: float) -> None:
    layout = layout_for((16, 32, 40), (16, 27, 40))
    costs = jax.jit(take_decision_costs)(PROFILES, jnp.int32(1))
    tables = group_class_choice.CostTables(costs.weights, costs.zero_cost, costs.signalling_cost)
    signalling = jax.jit(class_choice.signalling_bits)(MODEL)
    scan = jax.jit(scan_order.make_scan_order)(MODEL, layout)
    parts = split_coefficients(coefficients_of(len(layout.order)) * scale)
    values = jax.jit(SplitCoefficients.take)(parts, jnp.arange(len(layout.order)))
    ends = group_block_ends.make_end_tables(costs, scan, layout)
    found = by_kernel(ends, tables, signalling, parts, layout.order, layout.n_blocks)
    classes, of_class = by_reference(costs, signalling, values, layout.order, layout.n_blocks)
    counts = count_integers(costs, scan, layout, values, classes)
    for array, expected in zip(found, (classes, of_class, counts), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert len(np.unique(counts)) > 2
