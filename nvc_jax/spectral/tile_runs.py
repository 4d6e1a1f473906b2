"""Decoding of the integers of a stream on TPUs; ``integer_runs.pop_integers`` has the specification.

The kernel of ``tile_steps`` takes all lanes through many steps. Before it come the next words of each group,
and the next blocks of each lane: a kernel cannot read the memory at places that differ between lanes.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.tile_lookup import LANES, split_table
from nvc_jax.entropy import frequency_tables, rans, tile_pop
from nvc_jax.entropy.interleaving import share_out
from nvc_jax.entropy.word_stack import GROUP_LANES
from nvc_jax.spectral import integer_runs, neighbour_contexts, scan_order, tile_steps
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.scan_order import BlockQueue, ScanOrder
from nvc_jax.spectral.tile_steps import HISTORY, Lanes, Tables
from nvc_jax.transform.block_layout import N_COEFFICIENTS, BlockLayout

STEPS = LANES
"""Integers of each lane that are decoded at once: a row of registers."""


def pop_points(
    model: EntropyModel,
    layout: BlockLayout,
    scan: ScanOrder,
    counts: jax.Array,
    queue: BlockQueue,
    coder: rans.Coder,
    n_lanes: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Decode the points of all blocks; arguments and result are those of ``stream_loops.pop_reference``."""
    sequence = integer_runs.make_sequence(model, scan, queue, with_slots=False)
    runs = share_out(queue.total, n_lanes, len(coder.states))
    coder, quantization = integer_runs.pop_states(sequence, coder, runs.at(jnp.int32(0))[1])
    tables = _make_tables(model, scan, sequence.tables)
    rows_per_lane = -(-runs.length // STEPS)
    # Of each lane the points of its run, and what fills its last row.
    n_rows = len(counts) * N_COEFFICIENTS // STEPS + 2 * len(coder.states)
    lane = jnp.arange(len(coder.states), dtype=jnp.int32)
    words = tile_pop.words_in_rows(coder.words, STEPS)
    keys = _keys_in_rows(queue)
    n_integers = jnp.clip(runs.total - runs.starts, 0, runs.length)
    start = _start(coder, quantization, sequence, integer_runs.first_place(sequence, runs), n_integers)

    def pop(index: jax.Array, carry: tuple) -> tuple:
        lanes, tops, blocks, history, coded = carry
        windows = tile_pop.cut_windows(words, tops, STEPS)
        next_keys = _next_keys(keys, blocks)
        arguments = (model, tables, index * STEPS, lanes, windows, next_keys, history)
        lanes, taken, history, points = tile_steps.pop_steps(*arguments, interpret=interpret)
        row = jnp.where(lane < n_lanes, lane * rows_per_lane + index, n_rows)
        coded = coded.at[row].set(points.T[: len(lane)], mode="drop")
        tops = tops - taken[::GROUP_LANES]
        return lanes._replace(passed=jnp.zeros_like(blocks)), tops, blocks + lanes.passed, history, coded

    coded = jnp.zeros((n_rows, STEPS), jnp.int32)
    coded = lax.fori_loop(0, rows_per_lane, pop, (*start, coded))[-1]

    def place(item: jax.Array) -> jax.Array:
        run = item // jnp.maximum(runs.length, 1)
        return item + run * (rows_per_lane * STEPS - runs.length)

    return scan_order.from_scan_order(scan, layout, counts, coded.reshape(-1), place)


def _start(
    coder: rans.Coder,
    quantization: jax.Array,
    sequence: integer_runs.Sequence,
    place: integer_runs.Place,
    n_integers: jax.Array,
) -> tuple[Lanes, jax.Array, jax.Array, jax.Array]:
    """Get the lanes before the first step, with idle lanes up to whole tiles; tops, blocks, and history."""
    n = len(coder.states)
    padding = (0, -n % tile_steps.lanes_of_tile(n))
    states = lax.bitcast_convert_type(coder.states, jnp.int32)
    key = sequence.key_at(place.block)
    lanes = Lanes(states, quantization, key, place.position, jnp.zeros_like(key), n_integers)
    lanes = Lanes(*(jnp.pad(leaf, padding) for leaf in lanes))
    tops = jnp.pad(coder.tops, (0, padding[1] // GROUP_LANES))
    history = jnp.zeros((HISTORY, len(lanes.states)), jnp.int32)
    return lanes, tops, jnp.pad(place.block, padding), history


def _keys_in_rows(queue: BlockQueue) -> jax.Array:
    """Arrange the keys of blocks in rows, int32 (rows, LANES), of which two follow the last block."""
    n = len(queue.keys)
    return jnp.pad(queue.keys, (0, -n % LANES + 2 * LANES)).reshape(-1, LANES)


def _next_keys(keys: jax.Array, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Get the keys of the blocks after those of each lane: at least STEPS.

    Args:
        keys: from ``_keys_in_rows``.
        blocks: int32 (lanes,).

    Returns:
        int32 (2 · LANES, lanes), and the row of the first of them, int32 (lanes,).
    """
    row = jnp.minimum(lax.div(blocks + 1, LANES), len(keys) - 2)
    taken = keys[row[:, None] + jnp.arange(2, dtype=jnp.int32)[None]]
    return taken.reshape(len(blocks), -1).T, blocks + 1 - row * LANES


def _make_tables(model: EntropyModel, scan: ScanOrder, tables: frequency_tables.Tables) -> Tables:
    """Prepare the tables of the kernel."""
    context_rows, of_axes = model.context_rows, []
    if context_rows is not None:
        n_more = tile_steps.whole_rows(len(context_rows)) - len(context_rows)
        context_rows = split_table(jnp.pad(context_rows, ((0, n_more), (0, 0))), model.n_shared)
        position = jnp.arange(scan.coefficients.shape[1], dtype=jnp.int32)[None]
        neighbours = neighbour_contexts.find_neighbours(scan)
        of_axes = [jnp.where(other >= 0, position - other, 0) for other in neighbours]
    by_position = jnp.pad(jnp.concatenate([scan.coefficients, *of_axes]), ((0, 0), (0, 1)))
    of_classes = jnp.minimum(model.tables, model.n_shared - 1)
    return Tables(
        starts=tile_pop.starts_of_tokens(tables),
        context_rows=context_rows,
        by_position=split_table(by_position, N_COEFFICIENTS),
        by_coefficient=split_table(of_classes, model.n_shared),
    )
