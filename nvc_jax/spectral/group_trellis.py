"""Kernel of the trellis for GPUs; ``trellis`` has its specification.

A group is 32 neighbouring blocks. Arrays have their positions or coefficients first, so that the lanes of a
group read and write neighbouring entries.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import (
    GROUP_LANES,
    load_where,
    run_groups,
    store_where,
    this_group,
    tile_indices,
)
from nvc_jax.spectral.entropy_model import EntropyModel, bits_per_squared_step
from nvc_jax.spectral.fixed_point import to_fixed_by_floor
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

_CLEARED_AT_ONCE = 16
"""Coefficients that are set to 0 at a time."""


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
        jax.ShapeDtypeStruct((n_coefficients, n), jnp.uint8),
    ]
    arguments = (model, scan, rates, partial_types, values.T, classes, counts)
    n_groups = -(-n // GROUP_LANES)
    points, _ = run_groups(_quantize_group, n_groups, results, *arguments, interpret=interpret)
    return jnp.transpose(points)


def _quantize_group(
    model: EntropyModel,
    scan: ScanOrder,
    rates: Rates,
    partial_types: Any,
    values: Any,
    classes: Any,
    counts: Any,
    points: Any,
    decisions: Any,
) -> None:
    """Quantise the blocks of one group.

    Args:
        model: entropy model of the profile.
        scan: of the model and the volume.
        rates: of the model.
        partial_types: int32 (n,), of the blocks.
        values: float32 (512, n), coefficients in steps.
        classes: int32 (n,).
        counts: int32 (n,), number of integers that may be other than 0.
        points: int32 (512, n), the result.
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
        position = jnp.minimum(position, scan.coefficients.shape[1] - 1)
        return scan.coefficients[partial_type, jnp.full_like(partial_type, position)]

    def value_at(coefficient: jax.Array) -> jax.Array:
        return to_fixed_by_floor(values[coefficient, block])

    def step_forwards(begin: jax.Array, step: jax.Array, costs: list[jax.Array]) -> list[jax.Array]:
        coefficient = coefficient_at(begin + step)
        magnitude, table = jnp.abs(value_at(coefficient)), model.tables[block_class, coefficient]
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
        coefficient = coefficient_at(position)
        value = value_at(coefficient)
        decision = load_where(decisions, (jnp.full_like(block, position), block), active).astype(jnp.int32)
        state = jnp.where(position + 1 == end, best.state, state)
        before, magnitude = step_back(state, decision, jnp.abs(value))
        store_where(points, (coefficient, block), jnp.where(value < 0, -magnitude, magnitude), active)
        return jnp.where(active, before, state)

    lax.fori_loop(0, END_OF_BLOCK_UNIT * n_units, step_backwards, best.state)
    _clear_behind(scan, points, partial_type, block, end, exists)


def _clear_behind(
    scan: ScanOrder, points: Any, partial_type: jax.Array, block: jax.Array, end: jax.Array, exists: jax.Array
) -> None:
    """Set the points of one group that lie behind the ends of its blocks, and first ones, to 0."""

    def clear(tile: jax.Array, _: None) -> None:
        coefficient = tile_indices(tile, _CLEARED_AT_ONCE)[:, None]
        shape = (_CLEARED_AT_ONCE, GROUP_LANES)
        coefficient, of_type, column = (
            jnp.broadcast_to(index, shape) for index in (coefficient, partial_type[None], block[None])
        )
        position = scan.positions[of_type, coefficient]
        is_behind = (position < 0) | (position >= end[None])
        store_where(points, (coefficient, column), jnp.zeros(shape, jnp.int32), is_behind & exists[None])

    lax.fori_loop(0, points.shape[0] // _CLEARED_AT_ONCE, clear, None)
