"""Kernel of TPUs that decodes integers of all lanes, many steps at once; see ``tile_runs``.

The steps are those of ``integer_runs.pop_integer``. The *history* of a lane is a ring of its last points, in
which it finds the neighbours of an integer.

By the compiler's schedule for a v5e, a step of 512 lanes takes 2,300 instruction words, and 26 for every 8
rows of the history, 40 for every 16 words of the stacks and 20 for every 8 blocks that are looked at.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.tile_lookup import LANES, ROWS, choose_row, look_up, select_rows
from nvc_jax.entropy import tile_pop
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.dependent_quantization import next_quantizer, next_state
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.neighbour_contexts import context_of
from nvc_jax.transform.block_layout import N_COEFFICIENTS, N_PARTIAL_TYPES

HISTORY = N_COEFFICIENTS
"""Points of each lane that are kept, in a ring: those of a block."""
_N_AXES = 3
_TILE_LANES = 512
"""Most lanes of one program."""
_MEMORY_BYTES = 64 << 20
"""Bytes of a core's own memory that the kernel may take. Windows of a tile are 13 MB, and come twice where
those of the next tile arrive during its steps."""


class Lanes(NamedTuple):
    """State of all lanes: int32 (lanes,) each.

    Attributes:
        states: of the coder, whose bits are those of uint32.
        quantization: states of dependent quantisation.
        keys: of their blocks.
        positions: in these blocks.
        passed: number of blocks that they have passed.
        n_integers: of their runs.
    """

    states: Any
    quantization: Any
    keys: Any
    positions: Any
    passed: Any
    n_integers: Any


class Tables(NamedTuple):
    """Tables of a model and of its scans, from ``split_table``.

    Attributes:
        starts: from ``tile_pop.starts_of_tokens``.
        context_rows: of the model; None without contexts.
        by_position: of each position, the coefficient by partial-block type, and with contexts the distances
            from its neighbours along each axis, by axis and type; 0 for none.
        by_coefficient: of each coefficient, the table by class.
    """

    starts: Any
    context_rows: Any
    by_position: Any
    by_coefficient: Any


class _Sizes(NamedTuple):
    """Numbers of a model's quantisers, tables of each, classes, and rows of contexts in ``Tables``."""

    n_quantizers: int
    n_tables: int
    n_classes: int
    n_contexts: int


def whole_rows(n: int) -> int:
    """Round a number of rows up to whole registers."""
    return -(-n // ROWS) * ROWS


def lanes_of_tile(n_lanes: int) -> int:
    """Get the number of lanes of a program, for a stream of up to ``n_lanes``."""
    return min(-(-n_lanes // LANES) * LANES, _TILE_LANES)


def pop_steps(
    model: EntropyModel,
    tables: Tables,
    first: jax.Array,
    lanes: Lanes,
    windows: tile_pop.Windows,
    next_keys: tuple[jax.Array, jax.Array],
    history: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[Lanes, jax.Array, jax.Array, jax.Array]:
    """Decode the integers of LANES steps.

    Args:
        model: entropy model of the profile.
        tables: of the model.
        first: int32, the first step.
        lanes: the state, with no block passed.
        windows: words of the lanes.
        next_keys: of the next blocks, int32 (rows, lanes), and the row of the first one, int32 (lanes,).
        history: int32 (HISTORY, lanes), magnitudes of points in half steps.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        The lanes after; the number of words that each lane's group has taken, int32 (lanes,); the history;
        and the points, int32 (LANES, lanes), in half steps, 0 in idle lanes.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    side = lanes_of_tile(len(lanes.states))

    def of_lanes(array: Any) -> Any:
        return pallas.BlockSpec((array.shape[0], side), lambda tile: (0, tile))

    def whole(array: jax.Array) -> Any:
        return pallas.BlockSpec(array.shape, lambda tile: (0, 0))

    keys, row = next_keys
    carried = (jax.tree.map(lambda leaf: leaf[None], lanes), windows.tops, history)
    arguments = (carried, windows.pairs, keys, row[None])
    points = jax.ShapeDtypeStruct((LANES, len(lanes.states)), jnp.int32)
    results = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (carried, points))
    n_carried = len(jax.tree.leaves(carried))
    (after, tops, history), points = pallas.pallas_call(
        partial(_pop_steps, _sizes_of(model)),
        grid=(len(lanes.states) // side,),
        in_specs=[
            pallas.BlockSpec(memory_space=tpu.SMEM),
            jax.tree.map(of_lanes, arguments),
            jax.tree.map(whole, tables),
        ],
        out_specs=jax.tree.map(of_lanes, results),
        out_shape=results,
        input_output_aliases={1 + index: index for index in range(n_carried)},
        compiler_params=tpu.CompilerParams(vmem_limit_bytes=_MEMORY_BYTES),
        interpret=interpret,
    )(first.reshape(1), arguments, tables)
    return jax.tree.map(lambda leaf: leaf[0], after), (windows.tops - tops)[0], history, points


def _sizes_of(model: EntropyModel) -> _Sizes:
    """Get the sizes of a model."""
    sides = (model.bits.shape[0], model.tables.shape[0], whole_rows(model.n_contexts))
    return _Sizes(model.n_quantizers, *sides)


def _pop_steps(
    sizes: _Sizes, first: Any, arguments: tuple, tables: Tables, carried: tuple, points: Any
) -> None:
    """Decode the integers of some steps in a tile of lanes: the kernel."""
    from jax.experimental import pallas

    start, pairs, next_keys, next_row = arguments
    for memory, before in zip(jax.tree.leaves(carried), jax.tree.leaves(start), strict=True):
        memory[...] = before[...]
    lanes, tops, history = carried

    def pop(index: jax.Array, _: None) -> None:
        step = first[0] + index
        key, position, before = lanes.keys[...], lanes.positions[...], lanes.quantization[...]
        quantizer = next_quantizer(before)
        active = step < lanes.n_integers[...]
        row = _find_row(sizes, tables, history, step, (key, position, quantizer))
        windows = tile_pop.Windows(pairs, tops[...])
        states, tops[...], integer = tile_pop.pop(lanes.states[...], windows, tables.starts[...], row, active)
        point = 2 * integer - jnp.where(integer < 0, -quantizer, jnp.where(integer > 0, quantizer, 0))
        points[pallas.ds(index, 1), :] = point
        history[pallas.ds(step & HISTORY - 1, 1), :] = jnp.abs(point)

        is_last = active & (position + 1 >= scan_order.key_count(key))
        passed = lanes.passed[...]
        lanes.states[...] = states
        lanes.keys[...] = jnp.where(is_last, _read(next_keys, next_row[...] + passed, is_last), key)
        lanes.positions[...] = jnp.where(is_last, 0, jnp.where(active, position + 1, position))
        lanes.passed[...] = passed + jnp.where(is_last, 1, 0)
        if sizes.n_quantizers > 1:
            lanes.quantization[...] = jnp.where(is_last, 0, next_state(before, integer))

    lax.fori_loop(0, points.shape[0], pop, None)


def _read(memory: Any, row: jax.Array, mask: jax.Array) -> jax.Array:
    """Read a row of each lane's column; anything for lanes that are not in ``mask``."""
    lowest = jnp.min(jnp.where(mask, row, memory.shape[0]))
    begin = lowest - (lowest & ROWS - 1)
    count = jnp.max(jnp.where(mask, row, -1)) + 1 - begin
    return select_rows(memory, [row], begin, jnp.maximum(count, 0))[0]


def _find_row(
    sizes: _Sizes, tables: Tables, history: Any, step: jax.Array, place: tuple[jax.Array, ...]
) -> jax.Array:
    """Find the rows of the tables of integers, as ``Sequence.row_at`` does."""
    key, position, quantizer = place
    n_rows = N_PARTIAL_TYPES * (1 if tables.context_rows is None else 1 + _N_AXES)
    at_position = look_up(tables.by_position[...], n_rows, position)
    partial_type = scan_order.key_partial_type(key)

    def of_type(index: int) -> jax.Array:
        return choose_row(at_position[index * N_PARTIAL_TYPES : (index + 1) * N_PARTIAL_TYPES], partial_type)

    of_classes = look_up(tables.by_coefficient[...], sizes.n_classes, of_type(0))
    table = choose_row(of_classes, scan_order.key_class(key))
    row = table + quantizer * sizes.n_tables
    if tables.context_rows is None:
        return row
    context = _find_context(history, step, [of_type(1 + axis) for axis in range(_N_AXES)])
    return choose_row(look_up(tables.context_rows[...], sizes.n_contexts, row), context)


def _find_context(history: Any, step: jax.Array, distances: list[jax.Array]) -> jax.Array:
    """Find the contexts of integers by the points of their neighbours, int32 (1, lanes)."""
    known = [jnp.where(distance <= step, distance, 0) for distance in distances]
    rows = [jnp.where(distance > 0, (step - distance) & HISTORY - 1, -1) for distance in known]
    n_known = sum((jnp.where(distance > 0, 1, 0) for distance in known), jnp.zeros_like(known[0]))
    farthest = jnp.max(jnp.maximum(jnp.maximum(known[0], known[1]), known[2]))
    begin = (step - farthest) & HISTORY - 1
    first = begin - (begin & ROWS - 1)
    found = select_rows(history, rows, first, jnp.minimum(farthest + begin - first, HISTORY))
    return context_of(found[0] + found[1] + found[2], n_known)
