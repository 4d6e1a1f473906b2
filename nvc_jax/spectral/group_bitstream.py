"""Kernels of the bitstream for GPUs; ``block_headers`` and ``integer_runs`` have their specification.

A kernel takes the steps of the specification for one group of lanes. What depends on nothing but arrays of
blocks is computed outside, in ``jax.numpy``.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import GROUP_LANES, load_where, run_groups, store_where, this_group
from nvc_jax.entropy import rans
from nvc_jax.entropy.interleaving import max_lanes_for, runs_of_lanes
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.spectral.block_headers import (
    BlockHeaders,
    HeaderTables,
    find_rows,
    header_at,
    make_header_tables,
    pop_header,
    push_header,
)
from nvc_jax.spectral.coding_tables import CodingTables
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import blocks_inside
from nvc_jax.spectral.integer_runs import (
    Sequence,
    first_place,
    last_place,
    make_sequence,
    pop_integer,
    pop_states,
    push_integer,
    push_states,
)
from nvc_jax.spectral.scan_order import BlockQueue, ScanOrder
from nvc_jax.transform.block_layout import BlockLayout


class _Counts(NamedTuple):
    """Numbers that all groups share: int32 (1,) each.

    Attributes:
        blocks: of the volume.
        integers: of all blocks.
        lanes: of the stream.
    """

    blocks: Any
    integers: Any
    lanes: Any


def _counts(*numbers: jax.Array) -> _Counts:
    return _Counts(*(jnp.reshape(number, 1) for number in numbers))


def push_stream(
    model: EntropyModel,
    layout: BlockLayout,
    scan: ScanOrder,
    queue: BlockQueue,
    packed: jax.Array,
    headers: BlockHeaders,
    n_lanes: jax.Array,
    capacity: int,
    *,
    interpret: bool = False,
) -> rans.Coder:
    """Encode all integers and headers; arguments and result are those of ``stream_loops.push_reference``."""
    start = rans.start_encoding(n_lanes, max_lanes_for(len(layout.order)), capacity)
    results = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in start]
    sequence = make_sequence(model, scan, queue, with_slots=False)
    arguments = (
        *(sequence, packed),
        *(make_header_tables(model), layout.order, blocks_inside(layout.valid_shape), headers),
        *(_counts(layout.n_blocks, queue.total, n_lanes), start.states, start.tops),
    )
    return rans.Coder(*run_groups(_push_group, len(start.tops), results, *arguments, interpret=interpret))


def _push_group(
    sequence: Sequence,
    packed: Any,
    tables: HeaderTables,
    order: Any,
    sides: Any,
    headers: BlockHeaders,
    counts: _Counts,
    start_states: Any,
    start_tops: Any,
    states: Any,
    words: Any,
    tops: Any,
) -> None:
    """Encode all integers and headers of one group."""
    group = this_group()
    lanes = group * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    n_lanes = counts.lanes[0]

    integer_runs = runs_of_lanes(lanes, counts.integers[0], n_lanes)

    def push_one(backwards: jax.Array, carry: tuple) -> tuple:
        state, top, place = carry
        step = integer_runs.length - 1 - backwards
        _, active = integer_runs.at(step)
        coder, place = push_integer(sequence, packed, rans.Coder(state, words, top), place, step, active)
        return coder.states, coder.tops, place

    start = (start_states[lanes], start_tops[group], last_place(sequence, integer_runs))
    state, top, _ = lax.fori_loop(0, integer_runs.length, push_one, start)
    coder = rans.Coder(state, words, top)
    is_first = integer_runs.at(jnp.int32(0))[1]
    coder = push_states(sequence, packed, coder, first_place(sequence, integer_runs), is_first)

    header_runs = runs_of_lanes(lanes, counts.blocks[0], n_lanes)

    def read(place: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = order[jnp.where(is_known, place, 0)]
        return headers.classes[block], headers.first[block]

    def push_header_of(backwards: jax.Array, carry: tuple) -> tuple:
        step = header_runs.length - 1 - backwards
        index, active = header_runs.at(step)
        header, before = header_at(headers, order, index, step, sequence.model.tables.shape[0])
        rows = find_rows(sequence.model, sides, before, jnp.where(active, index, 0), step, read)
        coder = push_header(tables, rans.Coder(carry[0], words, carry[1]), header, rows, active)
        return coder.states, coder.tops

    state, top = lax.fori_loop(0, header_runs.length, push_header_of, (coder.states, coder.tops))
    states[lanes] = state
    tops[group] = top


def pop_headers(
    model: EntropyModel, layout: BlockLayout, stream: WordStream, *, interpret: bool = False
) -> tuple[BlockHeaders, rans.Coder]:
    """Decode all headers; see ``block_headers.pop_headers``."""
    start = rans.start_decoding(stream)
    of_blocks = jax.ShapeDtypeStruct(layout.order.shape, jnp.int32)
    results = [
        *(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in (start.states, start.tops)),
        *(of_blocks, of_blocks, of_blocks),
    ]
    counts = _counts(layout.n_blocks, jnp.int32(0), stream.n_lanes)
    sides = blocks_inside(layout.valid_shape)
    arguments = (model, make_header_tables(model), layout.order, sides, counts, *start)
    states, tops, *headers = run_groups(
        _pop_headers_of_group, len(start.tops), results, *arguments, interpret=interpret
    )
    headers = BlockHeaders(*(jnp.where(layout.inside, leaf, 0) for leaf in headers))
    return headers, rans.Coder(states, stream.words, tops)


def _pop_headers_of_group(
    model: EntropyModel,
    tables: HeaderTables,
    order: Any,
    sides: Any,
    counts: _Counts,
    start_states: Any,
    words: Any,
    start_tops: Any,
    states: Any,
    tops: Any,
    *headers: Any,
) -> None:
    """Decode all headers of one group."""
    group = this_group()
    lanes = group * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    runs = runs_of_lanes(lanes, counts.blocks[0], counts.lanes[0])
    n, n_classes = order.shape[0], model.tables.shape[0]

    def pop(step: jax.Array, carry: tuple) -> tuple:
        state, top, before = carry
        index, active = runs.at(step)

        def read(place: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
            # Each lane reads what it has written itself.
            other = (order[jnp.where(is_known, place, 0)],)
            classes, _, first = headers
            return load_where(classes, other, is_known), load_where(first, other, is_known)

        block = order[jnp.clip(index, 0, n - 1)]
        rows = find_rows(model, sides, before, jnp.where(active, index, 0), step, read)
        coder, header = pop_header(tables, rans.Coder(state, words, top), rows, active)
        for memory, values in zip(headers, header, strict=True):
            store_where(memory, (block,), values, active)
        return coder.states, coder.tops, header.classes

    start = (start_states[lanes], start_tops[group], jnp.full(GROUP_LANES, n_classes, jnp.int32))
    state, top, _ = lax.fori_loop(0, runs.length, pop, start)
    states[lanes] = state
    tops[group] = top


def pop_integers(
    model: EntropyModel,
    scan: ScanOrder,
    queue: BlockQueue,
    coder: rans.Coder,
    n_lanes: jax.Array,
    coding: CodingTables | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Decode all integers; see ``integer_runs.pop_integers``. What follows the last integer is arbitrary."""
    n_items = queue.keys.shape[0] * model.tables.shape[1]
    sequence = make_sequence(model, scan, queue, coding)
    arguments = (sequence, _counts(jnp.int32(0), queue.total, n_lanes), *coder)
    results = [jax.ShapeDtypeStruct((n_items,), jnp.int32)]
    return run_groups(_pop_integers_of_group, len(coder.tops), results, *arguments, interpret=interpret)[0]


def _pop_integers_of_group(
    sequence: Sequence, counts: _Counts, start_states: Any, words: Any, start_tops: Any, coded: Any
) -> None:
    """Decode all integers of one group."""
    group = this_group()
    lanes = group * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    runs = runs_of_lanes(lanes, counts.integers[0], counts.lanes[0])

    def pop(step: jax.Array, carry: tuple) -> tuple:
        state, top, place, before = carry
        item, active = runs.at(step)

        def read(other: jax.Array, is_known: jax.Array) -> jax.Array:
            # Each lane reads what it has written itself.
            return load_where(coded, (item - place.position + other,), is_known)

        coder = rans.Coder(state, words, top)
        coder, point, place, after = pop_integer(sequence, coder, place, before, step, read, active)
        store_where(coded, (item,), point, active)
        return coder.states, coder.tops, place, after

    coder = rans.Coder(start_states[lanes], words, start_tops[group])
    coder, before = pop_states(sequence, coder, runs.at(jnp.int32(0))[1])
    start = (coder.states, coder.tops, first_place(sequence, runs), before)
    lax.fori_loop(0, runs.length, pop, start)
