"""Blocks of integers to one entropy-coded stream and back.

Each block has a head and then its integers but the mean, up to the last, in the order of ``scan``. BlockHeaders,
then integers, are shared out among the lanes in equal runs. Where a model has two quantisers, a lane begins
its integers with the state that it would have come to there.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import Runs, max_lanes_for, share_out, with_width
from nvc_jax.spectral import dependent_quantization, scan_order
from nvc_jax.spectral.block_headers import BlockHeaders, pop_headers, push_headers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import BlockLayout


def bits_per_lane(n_blocks: int) -> int:
    """Bits that should be worth a lane, whose 32 are 1.3 % of them; 1.8 % where chunks are small and many."""
    return 2400 if n_blocks > 512 else 1800


class BlockSymbols(NamedTuple):
    """What a stream carries for n blocks.

    Attributes:
        points: int32 (n, 512), latents in half steps as quantisers have them, the means as differences in
            steps.
        classes: int32 (n,).
        modes: int32 (n,), of the block's superblock; only those of regions' first blocks count.
    """

    points: jax.Array
    classes: jax.Array
    modes: jax.Array


def stream_capacity(n_blocks: int, n_latents: int) -> int:
    """16-bit words that any stream of so many blocks fits in."""
    return rans.WORDS_PER_INTEGER * n_blocks * (n_latents + 1) + 2 * max_lanes_for(n_blocks)


def _make_tables(model: EntropyModel) -> frequency_tables.Tables:
    """Those that latents share, without the means'."""
    return frequency_tables.make_tables(model.frequencies[: model.n_shared])


def encode_stream(
    model: EntropyModel, layout: BlockLayout, symbols: BlockSymbols, n_lanes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Code blocks as one stream.

    Args:
        model: the entropy model.
        layout: of the n blocks.
        symbols: what to code.
        n_lanes: int32, from 1 to ``max_lanes_for(n)``: each costs four bytes and shortens the loops.

    Returns:
        uint16 (capacity,) words, and int32, how many are in use.
    """
    points, classes, modes = symbols
    places = scan_order.make_scan_order(model, layout)
    ordered = dependent_quantization.from_half_steps(scan_order.in_order(places, layout, points))
    ends = scan_order.find_end_of_block(ordered)
    queue = scan_order.make_queue(layout, classes, scan_order.n_coded(places, layout, ends))
    coder = _push_integers(model, places, queue, ordered, n_lanes)
    coder = push_headers(model, layout, BlockHeaders(classes, modes, ends, points[:, 0]), coder, n_lanes)
    return rans.finish_encoding(coder, n_lanes)


def _push_integers(
    model: EntropyModel,
    places: scan_order.ScanOrder,
    queue: scan_order.Queue,
    ordered: jax.Array,
    n_lanes: jax.Array,
) -> rans.Coder:
    """Start a stream with all integers but the means. Steps run backwards: see ``entropy``."""
    n, tables, has_states = len(ordered), _make_tables(model), model.n_quantizers > 1
    # With each integer its quantiser, which a loop that runs backwards does not know.
    packed = (ordered << 1 | dependent_quantization.quantizers_of(ordered, model.n_quantizers)).reshape(-1)
    max_lanes, capacity = max_lanes_for(n), stream_capacity(n, model.tables.shape[1])

    def push(runs: Runs, backwards: jax.Array, state: tuple) -> tuple:
        coder, index, place = state
        _, active = runs.at(runs.length - 1 - backwards)
        found = packed[queue.offsets[index] + place]
        row = model.row(scan_order.table_at(model, places, queue.keys[index], place), found & 1)
        coder = rans.push(coder, tables, row, found >> 1, active)
        place = jnp.where(active, place - 1, place)
        is_first = place < 0
        index = jnp.maximum(index - is_first.astype(jnp.int32), 0)
        return coder, index, jnp.where(is_first, scan_order.count_of(queue.keys[index]) - 1, place)

    def push_all(width: int) -> rans.Coder:
        runs = share_out(queue.total, n_lanes, width)
        coder = varying_like(ordered, rans.start_encoding(width, capacity))
        last = jnp.minimum(runs.starts + runs.length, runs.total) - 1
        start = (coder, *queue.locate(last))
        coder, *_ = lax.fori_loop(0, runs.length, partial(push, runs), start)
        if has_states:
            states = _states_at(packed, queue, *queue.locate(jnp.minimum(runs.starts, runs.total - 1)))
            active = runs.at(jnp.int32(0))[1]
            coder = rans.push_bits(coder, states, dependent_quantization.STATE_BITS, active)
        return rans.widen(coder, max_lanes)

    return with_width(n_lanes, max_lanes, push_all)


def _states_at(packed: jax.Array, queue: scan_order.Queue, index: jax.Array, place: jax.Array) -> jax.Array:
    """The states of ``quantizers`` before integers, uint32: those that lanes begin with."""
    item = queue.offsets[index] + place
    before = jnp.where(place > 0, packed[jnp.maximum(item - 1, 0)] & 1, 0)
    return (packed[item] & 1 | before << 1).astype(jnp.uint32)


def decode_headers(
    model: EntropyModel, layout: BlockLayout, words: jax.Array, used: jax.Array, n_lanes: jax.Array
) -> tuple[BlockHeaders, rans.Coder]:
    """Decode what stands before a stream's integers, and where those begin."""
    coder = rans.start_decoding(words, used, n_lanes, max_lanes_for(layout.order.shape[0]))
    return pop_headers(model, layout, coder, n_lanes)


def decode_stream(
    model: EntropyModel, layout: BlockLayout, words: jax.Array, used: jax.Array, n_lanes: jax.Array
) -> BlockSymbols:
    """Decode blocks: the inverse of ``encode_stream``."""
    heads, coder = decode_headers(model, layout, words, used, n_lanes)
    places = scan_order.make_scan_order(model, layout)
    counts = scan_order.n_coded(places, layout, heads.ends)
    queue = scan_order.make_queue(layout, heads.classes, counts)
    coded = _pop_integers(model, places, queue, coder, n_lanes)
    points = scan_order.from_order(places, layout, counts, coded)
    return BlockSymbols(points.at[:, 0].set(heads.means), heads.classes, heads.modes)


def _pop_integers(
    model: EntropyModel,
    places: scan_order.ScanOrder,
    queue: scan_order.Queue,
    coder: rans.Coder,
    n_lanes: jax.Array,
) -> jax.Array:
    """Decode all integers but the means, in the order in which they are coded; points in half steps."""
    n_items, tables = queue.ends.shape[0] * model.tables.shape[1], _make_tables(model)
    has_states = model.n_quantizers > 1

    def pop(runs: Runs, step: jax.Array, state: tuple) -> tuple:
        coder, coded, index, place, before = state
        item, active = runs.at(step)
        key = queue.keys[index]
        quantizer = dependent_quantization.quantizer_of(before)
        row = model.row(scan_order.table_at(model, places, key, place), quantizer)
        coder, value = rans.pop(coder, tables, row, active)
        point = dependent_quantization.to_half_steps(value, quantizer)
        coded = coded.at[jnp.where(active, item, n_items)].set(point, mode="drop")
        is_last = place + 1 >= scan_order.count_of(key)
        after = jnp.where(is_last, 0, dependent_quantization.advance(before, value)) if has_states else before
        return coder, coded, index + is_last.astype(jnp.int32), jnp.where(is_last, 0, place + 1), after

    def pop_all(width: int) -> jax.Array:
        runs = share_out(queue.total, n_lanes, width)
        # Every lane writes where it wrote last, which stays in cache.
        coded = varying_like(coder.words, jnp.zeros(n_items, jnp.int32))
        first = jnp.minimum(runs.starts, jnp.maximum(runs.total - 1, 0))
        own, states = rans.narrow(coder, width), jnp.zeros(width, jnp.uint32)
        if has_states:
            own, states = rans.pop_bits(own, dependent_quantization.STATE_BITS, runs.at(jnp.int32(0))[1])
        states = varying_like(coder.words, states.astype(jnp.int32))
        start = (own, coded, *queue.locate(first), states)
        return lax.fori_loop(0, runs.length, partial(pop, runs), start)[1]

    return with_width(n_lanes, len(coder.states), pop_all)
