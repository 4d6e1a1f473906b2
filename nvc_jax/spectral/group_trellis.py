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
from nvc_jax.spectral.entropy_model import EntropyModel, bits_per_squared_step
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.spectral.group_integers import SplitIntegers, integer_memory
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, ScanOrder, ends_behind
from nvc_jax.spectral.trellis_costs import Rates, branch_costs, fixed_error_weight
from nvc_jax.spectral.trellis_steps import (
    QUANTIZERS,
    first_costs,
    first_end,
    step_back,
    take_branches,
    try_end,
)
from nvc_jax.transform.block_layout import BlockLayout


class _Blocks(NamedTuple):
    """Blocks of a volume, in memory.

    Attributes:
        values: coefficients in steps.
        classes: int32 (n,).
        partial_types: int32 (n,).
        counts: int32 (n,), integers that may be other than 0.
    """

    values: FloatCoefficients | SplitCoefficients
    classes: Any
    partial_types: Any
    counts: Any


class _Tables(NamedTuple):
    """All that says what integers of a model cost, in memory.

    Attributes:
        model: entropy model of the profile.
        rates: of the model.
    """

    model: EntropyModel
    rates: Rates


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
    model: EntropyModel,
    rates: Rates,
    scan: ScanOrder,
    layout: BlockLayout,
    values: FloatCoefficients | SplitCoefficients,
    classes: jax.Array,
    counts: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[SplitIntegers, jax.Array]:
    """Quantise blocks of a model of two quantisers, and bring the integers into scan order.

    Args:
        model: entropy model of the profile.
        rates: of the model.
        scan: of the model and the volume.
        layout: of the n blocks.
        values: coefficients in steps.
        classes: int32 (n,).
        counts: int32 (n,), from ``block_ends.count_integers``.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        The integers, as of ``stream_loops.scan_reference``, of which those behind the ends of blocks are
        arbitrary; and the ends, int32 (n,).
    """
    n_coefficients, n = values.shape
    results = [
        integer_memory((n_coefficients - 1) * n),
        jax.ShapeDtypeStruct((n,), jnp.int32),
        jax.ShapeDtypeStruct((n_coefficients, n), jnp.uint8),
    ]
    blocks = _Blocks(values, classes, layout.partial_type, counts)
    integers, ends, _ = run_groups(
        _quantize_group,
        -(-n // GROUP_LANES),
        results,
        *(_Tables(model, rates), scan, blocks),
        interpret=interpret,
    )
    return integers, ends


def _quantize_group(
    tables: _Tables, scan: ScanOrder, blocks: _Blocks, integers: SplitIntegers, ends: Any, decisions: Any
) -> None:
    """Quantise the blocks of one group.

    Args:
        tables: of the model.
        scan: of the model and the volume.
        blocks: of the volume.
        integers: in scan order: a result.
        ends: int32 (n,), of blocks: a result.
        decisions: uint8 (512, n), for the search alone.
    """
    n = blocks.classes.shape[0]
    lane = this_group() * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    block, exists = jnp.minimum(lane, n - 1), lane < n
    n_likely = jnp.where(exists, blocks.counts[block], 0)
    group = _Group(block, blocks.classes[block], blocks.partial_types[block], n_likely)
    n_units = (jnp.max(group.n_likely) + END_OF_BLOCK_UNIT - 1) // END_OF_BLOCK_UNIT
    n_positions = scan.coefficients.shape[1]

    def value_at(position: jax.Array) -> tuple[jax.Array, jax.Array]:
        position = jnp.full_like(block, jnp.minimum(position, n_positions - 1))
        coefficient = scan.coefficients[group.partial_type, position]
        return coefficient, blocks.values.load_fixed(coefficient, block)

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
    tables: _Tables, group: _Group, value_at: Any, decisions: Any, exists: jax.Array, n_units: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Find the cheapest end of each block, int32 (lanes,), and the state there; note the decisions."""
    model, rates = tables.model, tables.rates
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
