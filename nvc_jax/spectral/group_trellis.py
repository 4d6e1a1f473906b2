"""Kernel of the trellis for GPUs; ``trellis`` has its specification.

A group is 32 neighbouring blocks. Arrays have their positions or coefficients first, so that the lanes of a
group read and write neighbouring entries.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import GROUP_LANES, load_where, run_groups, store_where, this_group
from nvc_jax.spectral.entropy_model import EntropyModel, bits_per_squared_step
from nvc_jax.spectral.fixed_point import to_fixed
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, ScanOrder
from nvc_jax.spectral.trellis_costs import Rates, branch_costs, fixed_error_weight
from nvc_jax.spectral.trellis_steps import (
    QUANTIZERS,
    first_costs,
    first_end,
    step_back,
    take_branches,
    try_end,
)


def quantize(
    model: EntropyModel,
    scan: ScanOrder,
    rates: Rates,
    partial_types: jax.Array,
    values: jax.Array,
    classes: jax.Array,
    counts: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Quantise blocks; see ``trellis.quantize_reference``."""
    n, n_coefficients = values.shape
    results = [
        jax.ShapeDtypeStruct((n_coefficients, n), jnp.int32),
        jax.ShapeDtypeStruct((n,), jnp.int32),
        jax.ShapeDtypeStruct((n_coefficients, n), jnp.uint8),
    ]
    arguments = (model, scan.coefficients, rates, partial_types, to_fixed(values).T, classes, counts)
    n_groups = -(-n // GROUP_LANES)
    points, ends, _ = run_groups(_quantize_group, n_groups, results, *arguments, interpret=interpret)
    position = scan.positions[partial_types]
    return jnp.where((position >= 0) & (position < ends[:, None]), points.T, 0)


def _quantize_group(
    model: EntropyModel,
    coefficients: Any,
    rates: Rates,
    partial_types: Any,
    values: Any,
    classes: Any,
    counts: Any,
    points: Any,
    ends: Any,
    decisions: Any,
) -> None:
    """Quantise the blocks of one group.

    Args:
        model: entropy model of the profile.
        coefficients: int32 (8, 511), of the scan order.
        rates: of the model.
        partial_types: int32 (n,), of the blocks.
        values: int32 (512, n), coefficients in 1/128 step.
        classes: int32 (n,).
        counts: int32 (n,), number of integers that may be other than 0.
        points: int32 (512, n), the result: points of the first integers of each block.
        ends: int32 (n,), the result: number of these integers.
        decisions: uint8 (512, n), for the search alone.
    """
    n = classes.shape[0]
    lane = this_group() * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    exists = lane < n
    block = jnp.minimum(lane, n - 1)
    count, block_class, partial_type = counts[block], classes[block], partial_types[block]
    count = jnp.where(exists, count, 0)
    error_weight = fixed_error_weight(bits_per_squared_step(model))
    n_units = (jnp.max(count) + END_OF_BLOCK_UNIT - 1) // END_OF_BLOCK_UNIT

    def coefficient_at(position: jax.Array) -> jax.Array:
        return coefficients[partial_type, jnp.full_like(partial_type, position)]

    def step_forwards(begin: jax.Array, step: jax.Array, costs: list[jax.Array]) -> list[jax.Array]:
        position = jnp.minimum(begin + step, coefficients.shape[1] - 1)
        coefficient = coefficient_at(position)
        magnitude, table = jnp.abs(values[coefficient, block]), model.tables[block_class, coefficient]
        branches = tuple(
            branch_costs(magnitude, rates.integers[model.table_row(table, q)], q, error_weight)
            for q in QUANTIZERS
        )
        costs, decision = take_branches(costs, branches, begin + step < count)
        row = jnp.full_like(block, begin + step)
        store_where(decisions, (row, block), decision, exists)
        return costs

    def unit_forwards(unit: jax.Array, carry: tuple) -> tuple:
        costs, best = carry
        step = partial(step_forwards, END_OF_BLOCK_UNIT * unit)
        costs = lax.fori_loop(0, END_OF_BLOCK_UNIT, step, costs)
        return costs, try_end(rates, block_class, count, best, costs, unit)

    start = (first_costs(GROUP_LANES), first_end(rates, block_class))
    _, best = lax.fori_loop(0, n_units, unit_forwards, start)
    end = jnp.minimum(END_OF_BLOCK_UNIT * best.end, count)

    def step_backwards(index: jax.Array, state: jax.Array) -> jax.Array:
        position = END_OF_BLOCK_UNIT * n_units - 1 - index
        active = position < end
        coefficient = coefficient_at(jnp.minimum(position, coefficients.shape[1] - 1))
        value = values[coefficient, block]
        decision = load_where(decisions, (jnp.full_like(block, position), block), active).astype(jnp.int32)
        state = jnp.where(position + 1 == end, best.state, state)
        before, magnitude = step_back(state, decision, jnp.abs(value))
        store_where(points, (coefficient, block), jnp.where(value < 0, -magnitude, magnitude), active)
        return jnp.where(active, before, state)

    lax.fori_loop(0, END_OF_BLOCK_UNIT * n_units, step_backwards, best.state)
    store_where(ends, (block,), end, exists)
