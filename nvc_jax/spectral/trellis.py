"""Trellis quantisation: rate-distortion-optimal integers of blocks with two quantisers.

With dependent quantisation, the parity of every integer decides the quantisers of those after it. So integers
cannot be decided one by one. But what the decoder knows between two integers is only a *state*, one of four
(see ``dependent_quantization``). Two sequences of integers that lead to the same state have the same choices
from there on, so only the cheaper one needs to be kept. This is the Viterbi algorithm:

1. Forwards, position by position in scan order, it keeps for each of the four states the cost of the cheapest
   path to it. Two *branches* lead to every state, one by an even integer and one by an odd one. Of all odd
   integers only the one nearest to the coefficient is tried; of all even ones only the nearest, and 0. A bit
   notes the cheaper branch.
2. After every 16 positions the block may end. The cheapest end so far is kept.
3. Backwards from the best end, the noted bits lead along the cheapest path, and give its integers.

The cost of a path is its bits plus its squared error, which ``bits_per_squared_step`` converts to bits: see
``trellis_costs``. All blocks advance together, as vectors.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import common_bound, map_rows, varying_like
from nvc_jax.core.platforms import may_use_tpu_kernels
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import tile_trellis
from nvc_jax.spectral.entropy_model import bits_per_squared_step
from nvc_jax.spectral.fixed_point import to_fixed
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, table_at
from nvc_jax.spectral.trellis_costs import Branches, branch_costs, fixed_error_weight
from nvc_jax.spectral.trellis_steps import (
    QUANTIZERS,
    BestEnd,
    TrellisBlocks,
    TrellisTables,
    first_costs,
    first_end,
    step_back,
    take_branches,
    try_end,
)
from nvc_jax.transform.block_layout import N_COEFFICIENTS

_BLOCKS_AT_ONCE = 512
"""Blocks that CPUs process together: enough for each step of the loop to do some work, few enough to stay in
cache."""


def quantize(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Quantise blocks by rate and distortion with a model of two quantisers.

    Args:
        tables: of the model and the volume.
        values: float32 (n, 512), coefficients in steps.
        blocks: of the volume, n of them.

    Returns:
        int32 (n, 512), reconstruction points in half steps, in the order of coefficients; 0 for DC.
    """
    return on_cpu(_quantize_by_kernel, quantize_reference, tables, values, blocks, tpu=_quantize_by_tiles)


def _quantize_by_tiles(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Quantise blocks on a TPU."""
    form = tile_trellis.quantize if may_use_tpu_kernels() else quantize_reference
    return form(tables, values, blocks)


def _quantize_by_kernel(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Quantise blocks by the native kernel."""
    result = jax.ShapeDtypeStruct(values.shape, jnp.int32)
    model, scan, rates = tables
    arguments = (values, *blocks, scan.coefficients, model.tables, *rates)
    error_weight = fixed_error_weight(bits_per_squared_step(model))
    return call("nvc_trellis", result, *arguments, error_weight=np.int32(error_weight))


def quantize_reference(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Quantise blocks in ``jax.numpy``: the specification of the kernel; see ``quantize``."""
    scan = tables.scan
    # Blocks of like lengths together: the loop runs until the last of its blocks has ended.
    order = jnp.argsort(blocks.counts).astype(jnp.int32)
    sorted_blocks = TrellisBlocks(*(leaf[order] for leaf in blocks))
    place = order[:, None] * N_COEFFICIENTS + scan.coefficients[sorted_blocks.partial_types]
    in_scan_order = to_fixed(values).reshape(-1)[place]
    points = map_rows(
        lambda rows: _find_points(tables, *rows), (in_scan_order, sorted_blocks), _BLOCKS_AT_ONCE
    )

    row, position = jnp.argsort(order).astype(jnp.int32)[:, None], scan.positions[blocks.partial_types]
    return jnp.where(position >= 0, points.reshape(-1)[row * N_COEFFICIENTS + jnp.maximum(position, 0)], 0)


def _find_points(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Find the points of the cheapest paths, int32 (n, 512) in half steps, in scan order.

    ``values`` are int32 (n, 511), coefficients in 1/128 step, in scan order. The last column of the points is
    0: blocks have 511 coefficients without DC.
    """
    n_units = common_bound((jnp.max(blocks.counts) + END_OF_BLOCK_UNIT - 1) // END_OF_BLOCK_UNIT)
    # Positions first: every step reads one row. Padded to whole units.
    values = jnp.pad(values, ((0, 0), (0, 1))).T
    best, decisions = _search_forwards(tables, values, blocks, n_units)
    return _trace_back(values, blocks.counts, best, decisions, n_units)


def _search_forwards(
    tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks, n_units: jax.Array
) -> tuple[BestEnd, jax.Array]:
    """Find each block's cheapest end, and note the decisions that lead there.

    Returns:
        The ends, and the decisions at all positions, int32 (512, n), from ``take_branches``.
    """
    model, scan, rates = tables
    n = len(blocks.classes)
    error_weight = fixed_error_weight(bits_per_squared_step(model))

    def unit_branches(unit: jax.Array) -> tuple[Branches, ...]:
        """Compute the branches of a whole unit at once, outside the loop over its positions."""
        begin = END_OF_BLOCK_UNIT * unit
        magnitude = jnp.abs(lax.dynamic_slice_in_dim(values, begin, END_OF_BLOCK_UNIT))
        position = begin + jnp.arange(END_OF_BLOCK_UNIT, dtype=jnp.int32)
        position = jnp.minimum(position, N_COEFFICIENTS - 2)[:, None]
        table = table_at(model, scan, blocks.classes[None], blocks.partial_types[None], position)
        return tuple(
            branch_costs(magnitude, rates.integers[model.table_row(table, q)], q, error_weight)
            for q in QUANTIZERS
        )

    def step_forwards(begin: jax.Array, branches: tuple, step: jax.Array, carry: tuple) -> tuple:
        costs, decisions = carry
        here = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, step, keepdims=False), branches)
        costs, decision = take_branches(costs, here, begin + step < blocks.counts)
        return costs, lax.dynamic_update_slice(decisions, decision[None], (begin + step, 0))

    def unit_forwards(unit: jax.Array, carry: tuple) -> tuple:
        costs, best, decisions = carry
        step = partial(step_forwards, END_OF_BLOCK_UNIT * unit, unit_branches(unit))
        costs, decisions = lax.fori_loop(0, END_OF_BLOCK_UNIT, step, (costs, decisions))
        best = try_end(rates, blocks.classes, blocks.counts, best, costs, unit)
        return costs, best, decisions

    start = (first_costs(n), first_end(rates, blocks.classes), jnp.zeros((N_COEFFICIENTS, n), jnp.int32))
    start = varying_like(values, start)
    _, best, decisions = lax.fori_loop(0, n_units, unit_forwards, start)
    return best, decisions


def _trace_back(
    values: jax.Array, counts: jax.Array, best: BestEnd, decisions: jax.Array, n_units: jax.Array
) -> jax.Array:
    """Follow the decisions back from the best ends: the points of the cheapest paths, int32 (n, 512)."""
    ends = jnp.minimum(END_OF_BLOCK_UNIT * best.end, counts)

    def step(index: jax.Array, carry: tuple) -> tuple:
        state, points = carry
        position = END_OF_BLOCK_UNIT * n_units - 1 - index
        state = jnp.where(position + 1 == ends, best.state, state)
        value, decision = (lax.dynamic_index_in_dim(x, position, keepdims=False) for x in (values, decisions))
        before, magnitude = step_back(state, decision, jnp.abs(value))
        active = position < ends
        # A coefficient of exactly 0 may be coded as 1: an odd integer changes the state.
        signed = jnp.where(active, jnp.where(value < 0, -magnitude, magnitude), 0)
        points = lax.dynamic_update_slice(points, signed[None], (position, 0))
        return jnp.where(active, before, state), points

    points = varying_like(values, jnp.zeros(values.shape, jnp.int32))
    return lax.fori_loop(0, END_OF_BLOCK_UNIT * n_units, step, (best.state, points))[1].T
