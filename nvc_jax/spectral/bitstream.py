"""The bitstream: blocks of integers to one entropy-coded stream and back.

A stream holds two sequences, one after the other: the block headers (see ``block_headers``), and then all
other integers of all blocks (see ``scan_order``). The *lanes* of the entropy coder work in parallel.
Each takes an equal run of the headers, and then an equal run of the integers. Runs of integers begin
anywhere, also in the middle of a block.

Three consequences shape the code:

- rANS decodes in the reverse order of encoding. So the encoder pushes the integers first, from the last to
  the first, and then the headers.
- Decoding an integer needs its quantiser, which follows from the integers before it (see
  ``dependent_quantization``). A lane that begins inside a block has not seen those, so it stores the *state*
  there, 2 bits, before its integers. The encoder knows all integers and computes every quantiser beforehand.
- A lane finds an integer's table by its block's class and the position in the block. It tracks both while it
  moves through the queue of blocks.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import Runs, max_lanes_for, share_out
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import dependent_quantization, native_bitstream, scan_order
from nvc_jax.spectral.block_headers import BlockHeaders, pop_headers, push_headers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import BlockLayout

_BITS_PER_LANE = 2400
"""Bits of a stream for each lane: the 32 bits that a lane adds are 1.3 % of them. Fewer lanes would make the
loops longer."""
_BITS_PER_LANE_OF_SMALL_CHUNKS = 1800
"""The same for small chunks, where a lane adds 1.8 %. A volume has many small chunks, and with few lanes each
would be slow."""
_SMALL_CHUNK_BLOCKS = 512
"""Largest number of blocks of a small chunk: 64³ voxels."""


def bits_per_lane(n_blocks: int) -> int:
    """Get the number of bits for which a stream of ``n_blocks`` blocks should have one lane."""
    return _BITS_PER_LANE if n_blocks > _SMALL_CHUNK_BLOCKS else _BITS_PER_LANE_OF_SMALL_CHUNKS


class BlockSymbols(NamedTuple):
    """Everything that a stream carries for n blocks.

    Attributes:
        points: int32 (n, 512), reconstruction points in half steps; 0 for first coefficients.
        first: int32 (n,), first coefficients in steps; of DC the differences from its prediction.
        classes: int32 (n,).
    """

    points: jax.Array
    first: jax.Array
    classes: jax.Array


def stream_capacity(n_blocks: int, n_coefficients: int) -> int:
    """Get the number of 16-bit words that hold any stream of ``n_blocks`` blocks.

    Every block counts ``n_coefficients`` integers and one more for the rest of its header.
    """
    return rans.capacity(n_blocks * (n_coefficients + 1), max_lanes_for(n_blocks))


def _make_tables(model: EntropyModel) -> frequency_tables.Tables:
    """Prepare the tables that coefficients share, without those of first ones."""
    return frequency_tables.make_tables(model.frequencies[: model.n_shared])


def encode_stream(
    model: EntropyModel, layout: BlockLayout, symbols: BlockSymbols, n_lanes: jax.Array
) -> WordStream:
    """Encode blocks as one stream.

    Args:
        model: entropy model of the profile.
        layout: of the n blocks.
        symbols: of the blocks.
        n_lanes: int32, from ``interleaving.lanes_for``: each costs four bytes and shortens the loops.
    """
    n_blocks, n_coefficients = symbols.points.shape
    kernel = partial(
        native_bitstream.encode,
        max_lanes=max_lanes_for(n_blocks),
        capacity=stream_capacity(n_blocks, n_coefficients),
    )
    scan = scan_order.make_scan_order(model, layout)
    return on_cpu(kernel, encode_reference, model, layout, scan, *symbols, n_lanes)


def encode_reference(
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    points: jax.Array,
    first: jax.Array,
    classes: jax.Array,
    n_lanes: jax.Array,
) -> WordStream:
    """Encode blocks in ``jax.numpy``: the specification of the kernel."""
    scanned = scan_order.scan_blocks(scan, layout, points)
    integers = dependent_quantization.to_integers(scanned.ordered)
    queue = scan_order.make_block_queue(layout, classes, scanned.counts)
    coder = _push_integers(model, scan, queue, integers, n_lanes)
    headers = BlockHeaders(classes, scanned.ends_of_block, first)
    coder = push_headers(model, layout, headers, coder, n_lanes)
    return rans.finish_encoding(coder, n_lanes)


def _push_integers(
    model: EntropyModel,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    ordered: jax.Array,
    n_lanes: jax.Array,
) -> rans.Coder:
    """Start a stream with all integers except first ones, from the last to the first.

    Args:
        model: entropy model of the profile.
        scan: of the model and the volume.
        queue: of the blocks.
        ordered: int32 (n, 511), integers in scan order.
        n_lanes: int32, lanes of the stream.
    """
    n, tables, has_states = len(ordered), _make_tables(model), model.n_quantizers > 1
    # The quantiser in the lowest bit: a loop that runs backwards cannot follow the states.
    quantizers = dependent_quantization.select_quantizers(ordered, model.n_quantizers)
    packed = (ordered << 1 | quantizers).reshape(-1)
    max_lanes, capacity = max_lanes_for(n), stream_capacity(n, model.tables.shape[1])

    def push(runs: Runs, backwards: jax.Array, carry: tuple) -> tuple:
        coder, index, position = carry
        _, active = runs.at(runs.length - 1 - backwards)
        item = packed[queue.offsets[index] + position]
        row = model.table_row(scan_order.key_table(model, scan, queue.keys[index], position), item & 1)
        coder = rans.push(coder, tables, row, item >> 1, active)

        position = jnp.where(active, position - 1, position)
        is_first = position < 0
        index = jnp.maximum(index - is_first.astype(jnp.int32), 0)
        return coder, index, jnp.where(is_first, scan_order.key_count(queue.keys[index]) - 1, position)

    coder = varying_like(ordered, rans.start_encoding(n_lanes, max_lanes, capacity))
    runs = share_out(queue.total, n_lanes, len(coder.states))
    last = jnp.minimum(runs.starts + runs.length, runs.total) - 1
    start = (coder, *queue.locate(last))
    coder, *_ = lax.fori_loop(0, runs.length, partial(push, runs), start)
    if not has_states:
        return coder
    first = queue.locate(jnp.minimum(runs.starts, runs.total - 1))
    quantizer_states = _quantizer_states_before(packed, queue, *first)
    active = runs.at(jnp.int32(0))[1]
    return rans.push_bits(coder, quantizer_states, dependent_quantization.STATE_BITS, active)


def _quantizer_states_before(
    packed: jax.Array, queue: scan_order.BlockQueue, index: jax.Array, position: jax.Array
) -> jax.Array:
    """Compute the states of dependent quantisation before integers, uint32.

    Args:
        packed: int32, all integers in scan order, each with its quantiser in the lowest bit.
        queue: of the blocks.
        index: int32 (lanes,), blocks in the queue.
        position: int32 (lanes,), positions of the integers in their blocks.
    """
    item = queue.offsets[index] + position
    before = jnp.where(position > 0, packed[jnp.maximum(item - 1, 0)] & 1, 0)
    return (packed[item] & 1 | before << 1).astype(jnp.uint32)


def decode_headers(model: EntropyModel, layout: BlockLayout, stream: WordStream) -> BlockHeaders:
    """Decode the block headers of a stream, and leave its integers."""

    def reference(*arguments: Any) -> BlockHeaders:
        model, layout, _, stream = arguments
        return pop_headers(model, layout, rans.start_decoding(stream), stream.n_lanes)[0]

    def kernel(*arguments: Any) -> BlockHeaders:
        return native_bitstream.decode(*arguments, only_headers=True)[1]

    return on_cpu(kernel, reference, model, layout, scan_order.make_scan_order(model, layout), stream)


def decode_stream(model: EntropyModel, layout: BlockLayout, stream: WordStream) -> BlockSymbols:
    """Decode blocks: the inverse of ``encode_stream``."""

    def kernel(*arguments: Any) -> BlockSymbols:
        points, headers = native_bitstream.decode(*arguments, only_headers=False)
        return BlockSymbols(points, headers.first, headers.classes)

    return on_cpu(kernel, decode_reference, model, layout, scan_order.make_scan_order(model, layout), stream)


def decode_reference(
    model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, stream: WordStream
) -> BlockSymbols:
    """Decode blocks in ``jax.numpy``: the specification of the kernel."""
    headers, coder = pop_headers(model, layout, rans.start_decoding(stream), stream.n_lanes)
    counts = scan_order.count_coded(scan, layout, headers.ends_of_block)
    queue = scan_order.make_block_queue(layout, headers.classes, counts)
    coded = _pop_integers(model, scan, queue, coder, stream.n_lanes)
    points = scan_order.from_scan_order(scan, layout, counts, coded)
    return BlockSymbols(points, headers.first, headers.classes)


def _pop_integers(
    model: EntropyModel,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    coder: rans.Coder,
    n_lanes: jax.Array,
) -> jax.Array:
    """Decode all integers except first ones: points in half steps, int32, in the order of coding."""
    n_items, tables = queue.keys.shape[0] * model.tables.shape[1], _make_tables(model)
    has_states = model.n_quantizers > 1

    def pop(runs: Runs, step: jax.Array, carry: tuple) -> tuple:
        coder, coded, index, position, before = carry
        item, active = runs.at(step)
        key = queue.keys[index]
        quantizer = dependent_quantization.next_quantizer(before)
        row = model.table_row(scan_order.key_table(model, scan, key, position), quantizer)
        coder, integer = rans.pop(coder, tables, row, active)
        point = dependent_quantization.to_points(integer, quantizer)
        coded = coded.at[jnp.where(active, item, n_items)].set(point, mode="drop")

        is_last = position + 1 >= scan_order.key_count(key)
        after = before
        if has_states:
            after = jnp.where(is_last, 0, dependent_quantization.next_state(before, integer))
        return coder, coded, index + is_last.astype(jnp.int32), jnp.where(is_last, 0, position + 1), after

    runs = share_out(queue.total, n_lanes, len(coder.states))
    # In the order of coding: each lane writes next to its last write, which stays in cache.
    coded = varying_like(coder.words, jnp.zeros(n_items, jnp.int32))
    first = jnp.minimum(runs.starts, jnp.maximum(runs.total - 1, 0))
    quantizer_states = jnp.zeros(len(coder.states), jnp.uint32)
    if has_states:
        active = runs.at(jnp.int32(0))[1]
        coder, quantizer_states = rans.pop_bits(coder, dependent_quantization.STATE_BITS, active)
    quantizer_states = varying_like(coder.words, quantizer_states.astype(jnp.int32))
    start = (coder, coded, *queue.locate(first), quantizer_states)
    return lax.fori_loop(0, runs.length, partial(pop, runs), start)[1]
