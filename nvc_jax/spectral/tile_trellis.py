"""Trellis quantisation by kernels of TPUs; ``trellis.quantize_reference`` has the specification.

A kernel of TPUs cannot look numbers up in a table, so the bits of all integers are looked up before. A
program takes 1,024 blocks through the 16 positions of a unit; the next program goes on from what it leaves in
memory. The second kernel goes back from the best ends.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.spectral.entropy_model import bits_per_squared_step
from nvc_jax.spectral.fixed_point import to_fixed
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, N_ENDS_OF_BLOCK, table_at
from nvc_jax.spectral.trellis_costs import branch_costs, fixed_error_weight
from nvc_jax.spectral.trellis_steps import (
    N_STATES,
    QUANTIZERS,
    BestEnd,
    TrellisBlocks,
    TrellisTables,
    first_costs,
    last_integer,
    take_branches,
    take_end,
)
from nvc_jax.transform.block_layout import N_COEFFICIENTS

_ROWS, _LANES = 8, 128
"""Blocks of a program: those of a register of a TPU."""
_N_UNITS = N_COEFFICIENTS // END_OF_BLOCK_UNIT


def quantize(
    tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks, *, interpret: bool = False
) -> jax.Array:
    """Quantise blocks; arguments and result are those of ``trellis.quantize_reference``."""
    model, scan, rates = tables
    n_blocks = len(blocks.classes)
    padding = (0, -n_blocks % (_ROWS * _LANES))
    classes, partial_types, counts = (jnp.pad(leaf, padding) for leaf in blocks)
    coefficients = jnp.pad(scan.coefficients, ((0, 0), (0, 1)))[partial_types]
    fixed = jnp.pad(to_fixed(values), (padding, (0, 0)))
    ordered = jnp.take_along_axis(fixed, coefficients, axis=1).T

    position = jnp.minimum(jnp.arange(N_COEFFICIENTS, dtype=jnp.int32), N_COEFFICIENTS - 2)[:, None]
    table = table_at(model, scan, classes[None], partial_types[None], position)
    bits = [rates.integers[model.table_row(table, quantizer)] for quantizer in QUANTIZERS]
    ends = rates.ends_of_block.reshape(-1, N_ENDS_OF_BLOCK)[classes, : _N_UNITS + 1].T

    in_tiles = [leaf.reshape(-1, len(classes) // _LANES, _LANES) for leaf in (counts, ordered, *bits, ends)]
    error_weight = fixed_error_weight(bits_per_squared_step(model))
    points = _search(*in_tiles, error_weight=error_weight, interpret=interpret)
    points = points.reshape(N_COEFFICIENTS, -1).T[:n_blocks]
    place = scan.positions[partial_types[:n_blocks]]
    found = jnp.take_along_axis(points, jnp.maximum(place, 0), axis=1)
    return jnp.where(place >= 0, found, 0)


def _search(
    counts: jax.Array,
    values: jax.Array,
    even_bits: jax.Array,
    odd_bits: jax.Array,
    end_costs: jax.Array,
    *,
    error_weight: int,
    interpret: bool,
) -> jax.Array:
    """Find the points of the cheapest paths, int32 (512, rows, 128), by both kernels.

    Arrays are int32 (…, rows, 128): coefficients and the rates of both quantisers in scan order, and the
    costs of ends of blocks after 0 to 32 units.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    unit = (END_OF_BLOCK_UNIT, _ROWS, _LANES)
    every = pallas.BlockSpec((1, _ROWS, _LANES), lambda tile, unit: (0, tile, 0))
    forwards = pallas.BlockSpec(unit, lambda tile, unit: (unit, tile, 0))
    backwards = pallas.BlockSpec(unit, lambda tile, unit: (_N_UNITS - 1 - unit, tile, 0))
    of_end = pallas.BlockSpec((1, _ROWS, _LANES), lambda tile, unit: (unit + 1, tile, 0))
    grid = (counts.shape[1] // _ROWS, _N_UNITS)
    settings = tpu.CompilerParams(dimension_semantics=("parallel", "arbitrary"))
    one = jax.ShapeDtypeStruct(counts.shape, jnp.int32)
    decisions, *best = pallas.pallas_call(
        partial(_search_unit, error_weight),
        grid=grid,
        in_specs=[every, forwards, forwards, forwards, every, of_end],
        out_specs=[forwards, every, every, every],
        out_shape=[jax.ShapeDtypeStruct(values.shape, jnp.int32), one, one, one],
        scratch_shapes=[tpu.VMEM((N_STATES, _ROWS, _LANES), jnp.int32)],
        compiler_params=settings,
        interpret=interpret,
    )(counts, values, even_bits, odd_bits, end_costs, end_costs)
    (points,) = pallas.pallas_call(
        _trace_unit,
        grid=grid,
        in_specs=[every, backwards, backwards, every, every],
        out_specs=[backwards],
        out_shape=[jax.ShapeDtypeStruct(values.shape, jnp.int32)],
        scratch_shapes=[tpu.VMEM((_ROWS, _LANES), jnp.int32)],
        compiler_params=settings,
        interpret=interpret,
    )(counts, values, decisions, *best[1:])
    return points


def _search_unit(
    error_weight: int,
    counts: Any,
    values: Any,
    even_bits: Any,
    odd_bits: Any,
    first_end: Any,
    end_costs: Any,
    decisions: Any,
    best_cost: Any,
    best_end: Any,
    best_state: Any,
    costs: Any,
) -> None:
    """Extend the paths of a program's blocks by one unit; the arguments are parts of those of ``_search``.

    Results are the decisions, and the fields of ``BestEnd`` so far; ``costs``, (4, 8, 128), are those of the
    cheapest path to each state.
    """
    from jax.experimental import pallas

    unit, n_coded = pallas.program_id(1), counts[0]
    best = (best_cost, best_end, best_state)

    @pallas.when(unit == 0)
    def _begin() -> None:
        for state, cost in enumerate(first_costs(_LANES)):
            costs[state] = jnp.broadcast_to(cost[None], n_coded.shape)
        best_cost[0] = first_end[0]
        best_end[0] = best_state[0] = jnp.zeros_like(n_coded)

    @pallas.when(END_OF_BLOCK_UNIT * unit < jnp.max(n_coded))
    def _extend() -> None:
        paths = [costs[state] for state in range(N_STATES)]
        for step in range(END_OF_BLOCK_UNIT):
            magnitude = jnp.abs(values[step])
            branches = tuple(
                branch_costs(magnitude, bits[step], quantizer, error_weight)
                for quantizer, bits in zip(QUANTIZERS, (even_bits, odd_bits), strict=True)
            )
            active = END_OF_BLOCK_UNIT * unit + step < n_coded
            paths, decisions[step] = take_branches(paths, branches, active)
        for state in range(N_STATES):
            costs[state] = paths[state]
        before = BestEnd(*(field[0] for field in best))
        for field, taken in zip(best, take_end(end_costs[0], n_coded, before, paths, unit), strict=True):
            field[0] = taken


def _trace_unit(
    counts: Any, values: Any, decisions: Any, best_end: Any, best_state: Any, points: Any, states: Any
) -> None:
    """Follow the decisions of one unit back, from the last unit on; ``states``, (8, 128), are kept."""
    from jax.experimental import pallas

    unit, n_coded = _N_UNITS - 1 - pallas.program_id(1), counts[0]

    @pallas.when(pallas.program_id(1) == 0)
    def _begin() -> None:
        states[...] = best_state[0]

    @pallas.when(END_OF_BLOCK_UNIT * unit >= jnp.max(n_coded))
    def _skip() -> None:
        points[...] = jnp.zeros(points.shape, jnp.int32)

    @pallas.when(END_OF_BLOCK_UNIT * unit < jnp.max(n_coded))
    def _follow() -> None:
        ends = jnp.minimum(END_OF_BLOCK_UNIT * best_end[0], n_coded)
        state = states[...]
        for step in reversed(range(END_OF_BLOCK_UNIT)):
            position, value = END_OF_BLOCK_UNIT * unit + step, values[step]
            state = jnp.where(position + 1 == ends, best_state[0], state)
            before, integer = last_integer(state, decisions[step], jnp.abs(value))
            magnitude = 2 * integer - jnp.where(integer > 0, state >> 1, 0)  # as `to_points` does
            active = position < ends
            points[step] = jnp.where(active, jnp.where(value < 0, -magnitude, magnitude), 0)
            state = jnp.where(active, before, state)
        states[...] = state
