"""Kernel of the trellis for GPUs; ``trellis`` has its specification.

A group is 32 neighbouring blocks. Arrays have their positions or coefficients first, so that the lanes of a
group read and write neighbouring entries. The kernel writes integers in scan order, each with its quantiser,
as the entropy coder takes them. So integers in the order of coefficients are not written at all.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import GROUP_LANES, load_where, run_groups, store_where, this_group
from nvc_jax.spectral.dependent_quantization import next_quantizer, to_integers
from nvc_jax.spectral.entropy_model import bits_per_squared_step
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.spectral.group_integers import SplitIntegers, integer_memory
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, ends_behind
from nvc_jax.spectral.trellis_costs import branch_costs, fixed_error_weight
from nvc_jax.spectral.trellis_steps import (
    QUANTIZERS,
    TrellisBlocks,
    TrellisTables,
    first_costs,
    first_end,
    step_back,
    take_branches,
    try_end,
)


class _Group(NamedTuple):
    """Blocks of a group, int32 (lanes,) each.

    Attributes:
        block: its index.
        block_class: its class.
        partial_type: its partial-block type.
        n_likely: number of integers that may be other than 0; 0 for lanes without a block.
    """

    block: jax.Array
    block_class: jax.Array
    partial_type: jax.Array
    n_likely: jax.Array


def quantize(
    tables: TrellisTables,
    values: FloatCoefficients | SplitCoefficients,
    blocks: TrellisBlocks,
    *,
    interpret: bool = False,
) -> tuple[SplitIntegers, jax.Array]:
    """Quantise blocks of a model of two quantisers, and bring the integers into scan order.

    Args:
        tables: of the model and the volume.
        values: coefficients in steps.
        blocks: of the volume, n of them.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        The integers, as of ``stream_loops.scan_reference``, and the ends of blocks, int32 (n,). Integers
        behind the end of a block are arbitrary.
    """
    n_coefficients, n = values.shape
    results = [
        integer_memory((n_coefficients - 1) * n),
        jax.ShapeDtypeStruct((n,), jnp.int32),
        jax.ShapeDtypeStruct((n_coefficients, n), jnp.uint8),
    ]
    n_groups = -(-n // GROUP_LANES)
    integers, ends, _ = run_groups(
        _quantize_group, n_groups, results, tables, values, blocks, interpret=interpret
    )
    return integers, ends


def _quantize_group(
    tables: TrellisTables,
    values: FloatCoefficients | SplitCoefficients,
    blocks: TrellisBlocks,
    integers: SplitIntegers,
    ends: Any,
    decisions: Any,
) -> None:
    """Quantise the blocks of one group; arguments are references to memory.

    Args:
        tables: of the model and the volume.
        values: coefficients in steps.
        blocks: of the volume.
        integers: in scan order: a result.
        ends: int32 (n,), of blocks: a result.
        decisions: uint8 (512, n), for the search alone.
    """
    scan, n = tables.scan, blocks.classes.shape[0]
    lane = this_group() * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    block, exists = jnp.minimum(lane, n - 1), lane < n
    n_likely = jnp.where(exists, blocks.counts[block], 0)
    group = _Group(block, blocks.classes[block], blocks.partial_types[block], n_likely)
    n_units = (jnp.max(group.n_likely) + END_OF_BLOCK_UNIT - 1) // END_OF_BLOCK_UNIT
    n_positions = scan.coefficients.shape[1]

    def value_at(position: jax.Array) -> tuple[jax.Array, jax.Array]:
        position = jnp.full_like(block, jnp.minimum(position, n_positions - 1))
        coefficient = scan.coefficients[group.partial_type, position]
        return coefficient, values.load_fixed(coefficient, block)

    end, state = _search(tables, group, value_at, decisions, exists, n_units)

    def step_backwards(index: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        now, last = carry
        position = END_OF_BLOCK_UNIT * n_units - 1 - index
        active = position < end
        _, value = value_at(position)
        decision = load_where(decisions, (jnp.full_like(block, position), block), active).astype(jnp.int32)
        now = jnp.where(position + 1 == end, state, now)
        before, magnitude = step_back(now, decision, jnp.abs(value))
        integer = to_integers(jnp.where(value < 0, -magnitude, magnitude))
        item = block * n_positions + position
        integers.store((item,), integer << 1 | next_quantizer(before), active)
        return jnp.where(active, before, now), jnp.where(active & (integer != 0) & (last < 0), position, last)

    start = (state, jnp.full_like(block, -1))
    _, last = lax.fori_loop(0, END_OF_BLOCK_UNIT * n_units, step_backwards, start)
    store_where(ends, (block,), ends_behind(last), exists)


def _search(
    tables: TrellisTables, group: _Group, value_at: Any, decisions: Any, exists: jax.Array, n_units: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Find the cheapest end of each block, int32 (lanes,), and the state there; note the decisions."""
    model, _, rates = tables
    error_weight = fixed_error_weight(bits_per_squared_step(model))

    def step_forwards(begin: jax.Array, step: jax.Array, costs: list[jax.Array]) -> list[jax.Array]:
        coefficient, value = value_at(begin + step)
        table = model.tables[group.block_class, coefficient]
        branches = tuple(
            branch_costs(jnp.abs(value), rates.integers[model.table_row(table, q)], q, error_weight)
            for q in QUANTIZERS
        )
        costs, decision = take_branches(costs, branches, begin + step < group.n_likely)
        row = jnp.full_like(group.block, begin + step)
        store_where(decisions, (row, group.block), decision, exists)
        return costs

    def unit_forwards(unit: jax.Array, carry: tuple) -> tuple:
        costs, best = carry
        step = partial(step_forwards, END_OF_BLOCK_UNIT * unit)
        costs = lax.fori_loop(0, END_OF_BLOCK_UNIT, step, costs)
        return costs, try_end(rates, group.block_class, group.n_likely, best, costs, unit)

    start = (first_costs(GROUP_LANES), first_end(rates, group.block_class))
    _, best = lax.fori_loop(0, n_units, unit_forwards, start)
    return jnp.minimum(END_OF_BLOCK_UNIT * best.end, group.n_likely), best.state
