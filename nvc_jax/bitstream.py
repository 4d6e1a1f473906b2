"""Blocks of integers to one entropy-coded stream and back.

Each block has a head (its class, its region's mode if it is the region's first, where its last integer lies,
its mean) and then its other integers up to the last, in the model's order. Heads, then integers, are shared
out among the lanes in equal runs.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax import entropy
from nvc_jax.cells import N_LATENTS
from nvc_jax.classes import ClassModel
from nvc_jax.entropy import varying_like
from nvc_jax.lanes import Runs, max_lanes_for, share_out, with_width
from nvc_jax.regions import N_MODES, Layout, frequencies_by_kind

_END_UNIT = 16
"""Blocks end after a multiple of so many integers: coarser ends are cheaper to name."""
N_ENDS = N_LATENTS // _END_UNIT + 1
"""Ends that a block may have."""


def bits_per_lane(n_blocks: int) -> int:
    """Bits that should be worth a lane, whose 32 are 1.3 % of them; 1.8 % where chunks are small and many."""
    return 2400 if n_blocks > 512 else 1800


class BlockSymbols(NamedTuple):
    """What a stream carries for n blocks.

    Attributes:
        integers: int32 (n, 512), the means as differences.
        classes: int32 (n,).
        modes: int32 (n,), of the block's region; only those of regions' first blocks count.
    """

    integers: jax.Array
    classes: jax.Array
    modes: jax.Array


class Places(NamedTuple):
    """The order in which the integers of each kind of block are coded, the mean apart.

    Attributes:
        latents: int32 (8, 511), the latent at each place; what a kind does not have comes last.
        places: int32 (8, 512), the place of each latent; the mean's is −1.
        counts: int32 (8,), how many there are.
    """

    latents: jax.Array
    places: jax.Array
    counts: jax.Array


def make_places(model: ClassModel, layout: Layout) -> Places:
    """Leave out of the model's order what short blocks do not have."""
    has = frequencies_by_kind(layout.extent)[:, model.order]
    latents = model.order[jnp.argsort(~has, axis=1, stable=True)]
    kinds = jnp.arange(8)[:, None]
    places = jnp.full((8, model.tables.shape[1]), -1, jnp.int32)
    places = places.at[kinds, latents].set(jnp.arange(latents.shape[1], dtype=jnp.int32)[None])
    return Places(latents, places, jnp.sum(has, axis=1, dtype=jnp.int32))


def end_tokens(places: Places, layout: Layout, integers: jax.Array) -> jax.Array:
    """Where the last integer but the mean lies that is not zero, in units rounded up; int32 (n,)."""
    return _ends_of(_in_order(places, layout, integers))


def _in_order(places: Places, layout: Layout, integers: jax.Array) -> jax.Array:
    """Blocks' integers in the order in which they are coded, int32 (n, 511)."""
    block = jnp.arange(len(integers), dtype=jnp.int32)[:, None]
    return integers.reshape(-1)[block * N_LATENTS + places.latents[layout.kind]]


def _ends_of(ordered: jax.Array) -> jax.Array:
    place = jnp.where(ordered != 0, jnp.arange(ordered.shape[1], dtype=jnp.int32)[None], -1)
    return (jnp.max(place, axis=1) + _END_UNIT) // _END_UNIT


def n_coded(places: Places, layout: Layout, ends: jax.Array) -> jax.Array:
    """How many integers but the mean are coded of each block, int32 (n,): none where there is no block."""
    return jnp.where(layout.present, jnp.minimum(ends * _END_UNIT, places.counts[layout.kind]), 0)


def _locate(ends: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Block and place of integers by their index, from where each block's integers end."""
    last = ends.shape[0] - 1
    block = jnp.minimum(jnp.searchsorted(ends, index, side="right").astype(jnp.int32), last)
    return block, index - jnp.where(block > 0, ends[jnp.maximum(block - 1, 0)], 0)


def stream_capacity(n_blocks: int, n_latents: int) -> int:
    """16-bit words that any stream of so many blocks fits in."""
    return entropy.WORDS_PER_INTEGER * n_blocks * (n_latents + 1) + 2 * max_lanes_for(n_blocks)


class _Queue(NamedTuple):
    """Blocks in the order in which their integers are coded, without those that have none.

    Attributes:
        keys: int32 (n,), class, kind and how many integers, packed: what is looked up at every step.
        offsets: int32 (n,), where each block's integers lie, in order.
        ends: int32 (n,), integers of all blocks up to this one.
    """

    keys: jax.Array
    offsets: jax.Array
    ends: jax.Array


def _make_queue(layout: Layout, classes: jax.Array, counts: jax.Array) -> _Queue:
    order = jnp.argsort(counts == 0, stable=True).astype(jnp.int32)
    keys = (classes << 3 | layout.kind) << 9 | counts
    return _Queue(keys[order], order * (N_LATENTS - 1), jnp.cumsum(counts[order], dtype=jnp.int32))


def _row(model: ClassModel, places: Places, key: jax.Array, place: jax.Array) -> jax.Array:
    """The table at a place of blocks with such keys."""
    latent = places.latents.reshape(-1)[(key >> 9 & 7) * (N_LATENTS - 1) + place]
    return model.tables.reshape(-1)[(key >> 12) * N_LATENTS + latent]


def _count(key: jax.Array) -> jax.Array:
    return key & 511


class _HeadTables(NamedTuple):
    classes: entropy.Tables
    modes: entropy.Tables
    ends: entropy.Tables
    means: entropy.Tables


def _head_tables(model: ClassModel) -> _HeadTables:
    frequencies = (
        model.class_frequencies,
        model.mode_frequencies,
        model.end_frequencies,
        model.frequencies,
    )
    # Of heads there are few tokens.
    return _HeadTables(*(entropy.make_tables(rows, with_slots=False) for rows in frequencies))


def _latent_tables(model: ClassModel) -> entropy.Tables:
    """Those that latents share, without the means'."""
    return entropy.make_tables(model.frequencies[: model.bits.shape[0]])


def encode_stream(
    model: ClassModel, layout: Layout, symbols: BlockSymbols, n_lanes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Code blocks as one stream. Steps run backwards: see ``entropy``.

    Args:
        model: the entropy model.
        layout: of the n blocks.
        symbols: what to code.
        n_lanes: int32, from 1 to ``max_lanes_for(n)``: each costs four bytes and shortens the loops.

    Returns:
        uint16 (capacity,) words, and int32, how many are in use.
    """
    integers, classes, modes = symbols
    n, n_latents = integers.shape
    n_classes = model.tables.shape[0]
    max_lanes = max_lanes_for(n)
    tables, places = _latent_tables(model), make_places(model, layout)
    ordered = _in_order(places, layout, integers)
    end = _ends_of(ordered)
    queue = _make_queue(layout, classes, n_coded(places, layout, end))
    values = ordered.reshape(-1)

    def push_integer(runs: Runs, backwards: jax.Array, state: tuple) -> tuple:
        coder, index, place = state
        _, active = runs.at(runs.length - 1 - backwards)
        row = _row(model, places, queue.keys[index], place)
        coder = entropy.push(coder, tables, row, values[queue.offsets[index] + place], active)
        place = jnp.where(active, place - 1, place)
        is_first = place < 0
        index = jnp.maximum(index - is_first.astype(jnp.int32), 0)
        return coder, index, jnp.where(is_first, _count(queue.keys[index]) - 1, place)

    def push_integers(width: int) -> entropy.Coder:
        runs = share_out(queue.ends[-1], n_lanes, width)
        coder = varying_like(classes, entropy.start_encoding(width, stream_capacity(n, n_latents)))
        last = jnp.minimum(runs.starts + runs.length, runs.total) - 1
        start = (coder, *_locate(queue.ends, last))
        coder, *_ = lax.fori_loop(0, runs.length, partial(push_integer, runs), start)
        return entropy.widen(coder, max_lanes)

    coder = with_width(n_lanes, max_lanes, push_integers)
    heads, head_runs = _head_tables(model), share_out(layout.n_blocks, n_lanes, max_lanes)

    def push_head(backwards: jax.Array, coder: entropy.Coder) -> entropy.Coder:
        step = head_runs.length - 1 - backwards
        index, active = head_runs.at(step)
        index = jnp.minimum(index, n - 1)
        block = layout.order[index]
        found = classes[block]
        coder = entropy.push(coder, heads.means, model.tables[found, 0], integers[block, 0], active)
        coder = entropy.push_token(coder, heads.ends, found, end[block].astype(jnp.uint32), active)
        leads = active & layout.leads[block]
        coder = entropy.push_token(coder, heads.modes, found, modes[block].astype(jnp.uint32), leads)
        earlier = classes[layout.order[jnp.maximum(index - 1, 0)]]
        earlier = jnp.where(step > 0, earlier, n_classes)
        return entropy.push_token(coder, heads.classes, earlier, found.astype(jnp.uint32), active)

    coder = lax.fori_loop(0, head_runs.length, push_head, coder)
    return entropy.finish_encoding(coder, n_lanes)


class Heads(NamedTuple):
    """The heads of n blocks: int32 (n,) each, the means as differences; 0 where there is no block."""

    classes: jax.Array
    modes: jax.Array
    ends: jax.Array
    means: jax.Array


def decode_heads(
    model: ClassModel, layout: Layout, words: jax.Array, used: jax.Array, n_lanes: jax.Array
) -> tuple[Heads, entropy.Coder]:
    """Decode what stands before a stream's integers, and where those begin."""
    n, n_classes, max_lanes = (
        layout.order.shape[0],
        model.tables.shape[0],
        max_lanes_for(layout.order.shape[0]),
    )
    coder = entropy.start_decoding(words, used, n_lanes, max_lanes)
    tables = _head_tables(model)
    head_runs = share_out(layout.n_blocks, n_lanes, max_lanes)

    def pop_head(step: jax.Array, state: tuple) -> tuple:
        coder, heads, earlier = state
        index, active = head_runs.at(step)
        block = layout.order[jnp.minimum(index, n - 1)]
        coder, token = entropy.pop_token(coder, tables.classes, earlier, active)
        # A damaged stream may name any token.
        found = jnp.minimum(token.astype(jnp.int32), n_classes - 1)
        coder, mode = entropy.pop_token(coder, tables.modes, found, active & layout.leads[block])
        mode = jnp.minimum(mode.astype(jnp.int32), N_MODES - 1)
        coder, end = entropy.pop_token(coder, tables.ends, found, active)
        coder, mean = entropy.pop(coder, tables.means, model.tables[found, 0], active)
        target = jnp.where(active, block, n)
        head = jnp.stack([found, mode, end.astype(jnp.int32), mean], axis=1)
        return coder, heads.at[target].set(head, mode="drop"), found

    none = jnp.full(max_lanes, n_classes, jnp.int32)
    state = (coder, *varying_like(words, (jnp.zeros((n, 4), jnp.int32), none)))
    coder, heads, _ = lax.fori_loop(0, head_runs.length, pop_head, state)
    return Heads(*jnp.unstack(heads, axis=1)), coder


def decode_stream(
    model: ClassModel, layout: Layout, words: jax.Array, used: jax.Array, n_lanes: jax.Array
) -> BlockSymbols:
    """Decode blocks: the inverse of ``encode_stream``."""
    n, n_latents, max_lanes = (
        layout.order.shape[0],
        model.tables.shape[1],
        max_lanes_for(layout.order.shape[0]),
    )
    (classes, modes, ends, means), coder = decode_heads(model, layout, words, used, n_lanes)
    tables, places = _latent_tables(model), make_places(model, layout)
    counts = n_coded(places, layout, ends)
    queue = _make_queue(layout, classes, counts)

    def pop_integer(runs: Runs, step: jax.Array, state: tuple) -> tuple:
        coder, coded, index, place = state
        item, active = runs.at(step)
        key = queue.keys[index]
        coder, value = entropy.pop(coder, tables, _row(model, places, key, place), active)
        coded = coded.at[jnp.where(active, item, n * n_latents)].set(value, mode="drop")
        is_last = place + 1 >= _count(key)
        return coder, coded, index + is_last.astype(jnp.int32), jnp.where(is_last, 0, place + 1)

    def pop_integers(width: int) -> jax.Array:
        runs = share_out(queue.ends[-1], n_lanes, width)
        # In the order in which they are coded: every lane writes where it wrote last, which stays in cache.
        coded = varying_like(words, jnp.zeros(n * n_latents, jnp.int32))
        first = jnp.minimum(runs.starts, jnp.maximum(runs.total - 1, 0))
        start = (entropy.narrow(coder, width), coded, *_locate(queue.ends, first))
        return lax.fori_loop(0, runs.length, partial(pop_integer, runs), start)[1]

    coded = with_width(n_lanes, max_lanes, pop_integers)
    place = places.places[layout.kind]
    is_coded = (place >= 0) & (place < counts[:, None])
    item = (jnp.cumsum(counts, dtype=jnp.int32) - counts)[:, None] + place
    integers = jnp.where(is_coded, coded[jnp.where(is_coded, item, 0)], 0)
    return BlockSymbols(integers.at[:, 0].set(means), classes, modes)
