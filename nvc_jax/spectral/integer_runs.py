"""Runs of integers in a stream: all integers of all blocks, except first ones, by many lanes.

Each lane codes a run of the sequence of all integers (see ``scan_order``), which may begin in the middle of a
block. Two consequences shape the code:

- Decoding an integer needs its quantiser, which follows from the integers before it (see
  ``dependent_quantization``). A lane that begins inside a block has not seen those, so it stores the *state*
  there, 2 bits, before its integers. The encoder knows all integers and computes every quantiser beforehand.
- A lane finds an integer's table by its block's class and the position in the block. It tracks both while it
  moves through the queue of blocks. In a model with contexts, integers that the lane has decoded before in
  the same block exchange the table for another one (see ``neighbour_contexts``).

A kernel of one group of lanes runs the same steps (see ``group_bitstream``): arrays are then references to
memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import common_bound, varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import Runs, max_lanes_for, share_out
from nvc_jax.spectral import dependent_quantization, neighbour_contexts, scan_order
from nvc_jax.spectral.coding_tables import CodingTables
from nvc_jax.spectral.entropy_model import EntropyModel

ReadPoints = Callable[[jax.Array, jax.Array], jax.Array]
"""Gets points of each lane's block: see ``neighbour_contexts.find_contexts``."""


class Sequence(NamedTuple):
    """All that says which table an integer of the sequence has.

    Attributes:
        model: entropy model of the profile.
        tables: that coefficients share.
        scan: of the model and the volume.
        queue: of the blocks.
        neighbours: from ``neighbour_contexts.find_neighbours``; None for a model without contexts.
        first_row: int32 (1,), row of the profile's first table; None if it is 0.
    """

    model: EntropyModel
    tables: frequency_tables.Tables
    scan: scan_order.ScanOrder
    queue: scan_order.BlockQueue
    neighbours: jax.Array | None
    first_row: jax.Array | None = None

    def key_at(self, index: jax.Array) -> jax.Array:
        """Look up the keys of blocks in the queue, int32; of the last block for indices behind it."""
        return self.queue.keys[jnp.clip(index, 0, self.queue.keys.shape[0] - 1)]

    def row_at(
        self, key: jax.Array, position: jax.Array, quantizer: jax.Array, n_before: jax.Array, read: ReadPoints
    ) -> jax.Array:
        """Look up the rows in the tables of integers at positions of blocks with these keys, int32.

        Other arguments are those of ``neighbour_contexts.find_contexts``.
        """
        row = self.model.table_row(scan_order.key_table(self.model, self.scan, key, position), quantizer)
        if self.model.context_rows is not None and self.neighbours is not None:
            partial_type = scan_order.key_partial_type(key)
            known = (partial_type, position, n_before, read)
            row = self.model.context_rows[neighbour_contexts.find_contexts(self.neighbours, *known), row]
        return row if self.first_row is None else row + self.first_row[0]


def make_sequence(
    model: EntropyModel,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    coding: CodingTables | None = None,
    *,
    with_slots: bool = True,
) -> Sequence:
    """Prepare what the integers of a stream depend on; ``coding`` are their tables, if these are there."""
    neighbours = None if model.context_rows is None else neighbour_contexts.find_neighbours(scan)
    if coding is not None:
        return Sequence(model, coding.tables, scan, queue, neighbours, coding.first_row)
    tables = frequency_tables.make_tables(model.frequencies[: model.n_shared], with_slots=with_slots)
    return Sequence(model, tables, scan, queue, neighbours)


class Place(NamedTuple):
    """Place of each lane in the sequence: int32 (lanes,) each.

    Attributes:
        block: its index in the queue.
        position: in the block.
    """

    block: jax.Array
    position: jax.Array


def pack_integers(model: EntropyModel, ordered: jax.Array) -> jax.Array:
    """Put the quantiser of each integer into its lowest bit, int32 (n · 511,).

    A loop that runs backwards cannot follow the states.

    Args:
        model: entropy model of the profile.
        ordered: int32 (n, 511), integers in scan order.
    """
    quantizers = dependent_quantization.select_quantizers(ordered, model.n_quantizers)
    return (ordered << 1 | quantizers).reshape(-1)


def last_place(sequence: Sequence, runs: Runs) -> Place:
    """Find the last integer of each lane's run."""
    return Place(*sequence.queue.locate(jnp.minimum(runs.starts + runs.length, runs.total) - 1))


def first_place(sequence: Sequence, runs: Runs) -> Place:
    """Find the first integer of each lane's run."""
    return Place(*sequence.queue.locate(jnp.minimum(runs.starts, jnp.maximum(runs.total - 1, 0))))


def push_integer(
    sequence: Sequence, packed: Any, coder: rans.Coder, place: Place, n_before: jax.Array, active: jax.Array
) -> tuple[rans.Coder, Place]:
    """Encode the integer at each active lane's place, and move to the one before.

    Args:
        sequence: of the stream.
        packed: int32, from ``pack_integers``.
        coder: the state.
        place: of the lanes.
        n_before: int32, number of integers before it in each lane's run.
        active: bool (lanes,).
    """
    index, position = place
    first = sequence.queue.offsets[index]

    def read(other: jax.Array, is_known: jax.Array) -> jax.Array:
        neighbour = packed[first + jnp.where(is_known, other, 0)]
        return dependent_quantization.to_points(neighbour >> 1, neighbour & 1)

    item = packed[first + position]
    row = sequence.row_at(sequence.key_at(index), position, item & 1, n_before, read)
    coder = rans.push(coder, sequence.tables, row, item >> 1, active)
    position = jnp.where(active, position - 1, position)
    is_first = position < 0
    index = jnp.maximum(index - is_first.astype(jnp.int32), 0)
    count = scan_order.key_count(sequence.key_at(index))
    return coder, Place(index, jnp.where(is_first, count - 1, position))


def pop_integer(
    sequence: Sequence,
    coder: rans.Coder,
    place: Place,
    before: jax.Array,
    n_before: jax.Array,
    read: ReadPoints,
    active: jax.Array,
) -> tuple[rans.Coder, jax.Array, Place, jax.Array]:
    """Decode the integer at each active lane's place, and move to the one after; inverts ``push_integer``.

    Args:
        sequence: of the stream.
        coder: the state.
        place: of the lanes.
        before: int32 (lanes,), states of dependent quantisation.
        n_before: int32, number of integers that each lane has decoded.
        read: gets points that it has decoded.
        active: bool (lanes,).

    Returns:
        The state, the points in half steps, int32 (lanes,), the next place, and the states after.
    """
    index, position = place
    key = sequence.key_at(index)
    quantizer = dependent_quantization.next_quantizer(before)
    row = sequence.row_at(key, position, quantizer, n_before, read)
    coder, integer = rans.pop(coder, sequence.tables, row, active)
    point = dependent_quantization.to_points(integer, quantizer)
    is_last = position + 1 >= scan_order.key_count(key)
    after = before
    if sequence.model.n_quantizers > 1:
        after = jnp.where(is_last, 0, dependent_quantization.next_state(before, integer))
    place = Place(index + is_last.astype(jnp.int32), jnp.where(is_last, 0, position + 1))
    return coder, point, place, after


def push_states(
    sequence: Sequence, packed: Any, coder: rans.Coder, place: Place, active: jax.Array
) -> rans.Coder:
    """Store the state of dependent quantisation before each lane's first integer; nothing for one quantiser.

    ``place`` is the lanes' ``first_place``.
    """
    if sequence.model.n_quantizers == 1:
        return coder
    item = sequence.queue.offsets[place.block] + place.position
    before = jnp.where(place.position > 0, packed[jnp.maximum(item - 1, 0)] & 1, 0)
    states = (packed[item] & 1 | before << 1).astype(jnp.uint32)
    return rans.push_bits(coder, states, dependent_quantization.STATE_BITS, active)


def pop_states(sequence: Sequence, coder: rans.Coder, active: jax.Array) -> tuple[rans.Coder, jax.Array]:
    """Read what ``push_states`` stored, int32 (lanes,); 0 for one quantiser."""
    if sequence.model.n_quantizers == 1:
        return coder, jnp.zeros(active.shape, jnp.int32)
    coder, states = rans.pop_bits(coder, dependent_quantization.STATE_BITS, active)
    return coder, states.astype(jnp.int32)


def push_integers(
    model: EntropyModel,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    packed: jax.Array,
    n_lanes: jax.Array,
    capacity: int,
) -> rans.Coder:
    """Start a stream with all integers, from the last to the first.

    Args:
        model: entropy model of the profile.
        scan: of the model and the volume.
        queue: of the blocks.
        packed: int32 (n · 511,), from ``pack_integers``.
        n_lanes: int32, lanes of the stream.
        capacity: words of the longest stream; static.
    """
    sequence = make_sequence(model, scan, queue)

    def push(runs: Runs, backwards: jax.Array, carry: tuple) -> tuple:
        step = runs.length - 1 - backwards
        _, active = runs.at(step)
        coder, place = carry
        return push_integer(sequence, packed, coder, place, step, active)

    max_lanes = max_lanes_for(queue.keys.shape[0])
    coder = varying_like(packed, rans.start_encoding(n_lanes, max_lanes, capacity))
    runs = share_out(queue.total, n_lanes, len(coder.states))
    start = (coder, last_place(sequence, runs))
    coder, _ = lax.fori_loop(0, common_bound(runs.length), partial(push, runs), start)
    return push_states(sequence, packed, coder, first_place(sequence, runs), runs.at(jnp.int32(0))[1])


def pop_integers(
    model: EntropyModel,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    coder: rans.Coder,
    n_lanes: jax.Array,
    coding: CodingTables | None = None,
) -> jax.Array:
    """Decode all integers: points in half steps, int32 (n · 512,), in the order of coding."""
    sequence = make_sequence(model, scan, queue, coding)
    n_items = queue.keys.shape[0] * model.tables.shape[1]

    def pop(runs: Runs, step: jax.Array, carry: tuple) -> tuple:
        coder, coded, place, before = carry
        item, active = runs.at(step)

        def read(other: jax.Array, is_known: jax.Array) -> jax.Array:
            return coded[jnp.where(is_known, item - place.position + other, 0)]

        coder, point, place, after = pop_integer(sequence, coder, place, before, step, read, active)
        coded = coded.at[jnp.where(active, item, n_items)].set(point, mode="drop")
        return coder, coded, place, after

    runs = share_out(queue.total, n_lanes, len(coder.states))
    # In the order of coding: each lane writes next to its last write, which stays in cache.
    coded = varying_like(coder.words, jnp.zeros(n_items, jnp.int32))
    coder, states = pop_states(sequence, coder, runs.at(jnp.int32(0))[1])
    start = (coder, coded, first_place(sequence, runs), varying_like(coder.words, states))
    return lax.fori_loop(0, common_bound(runs.length), partial(pop, runs), start)[1]
