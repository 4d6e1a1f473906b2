"""The bitstream: blocks of integers to one entropy-coded stream and back.

A stream holds two sequences, one after the other: the block headers (see ``block_headers``), and then all
other integers of all blocks (see ``scan_order``). The *lanes* of the entropy coder work in parallel.
Each takes an equal run of the headers, and then an equal run of the integers. Runs of integers begin
anywhere, also in the middle of a block.

rANS decodes in the reverse order of encoding. So the encoder pushes the integers first, from the last to the
first (see ``integer_runs``), and then the headers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from nvc_jax.core.platforms import may_use_tpu_kernels
from nvc_jax.entropy import rans
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import (
    dependent_quantization,
    group_bitstream,
    group_scan,
    native_bitstream,
    scan_order,
    tile_bitstream,
)
from nvc_jax.spectral.block_headers import BlockHeaders, pop_headers, push_headers
from nvc_jax.spectral.coding_tables import CodingTables
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.integer_runs import pack_integers, pop_integers, push_integers
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


class Loops(NamedTuple):
    """Loops of a stream over all of its lanes, on one kind of device.

    Attributes:
        scan_integers: takes what ``scan_reference`` takes.
        push: takes what ``push_reference`` takes.
        pop_headers: takes a model, a layout and a stream.
        pop_integers: takes what ``integer_runs.pop_integers`` takes.
    """

    scan_integers: Callable[..., tuple[jax.Array, jax.Array]]
    push: Callable[..., rans.Coder]
    pop_headers: Callable[[EntropyModel, BlockLayout, WordStream], tuple[BlockHeaders, rans.Coder]]
    pop_integers: Callable[..., jax.Array]


def scan_reference(
    model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, points: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Bring the integers of blocks, points int32 (n, 512), into scan order.

    Returns:
        The integers, int32 (n · 511,), from ``pack_integers``, of which those behind the ends of blocks are
        arbitrary; and the ends, int32 (n,), from ``scan_order.find_ends``.
    """
    scanned = scan_order.scan_blocks(scan, layout, points)
    packed = pack_integers(model, dependent_quantization.to_integers(scanned.ordered))
    return packed, scanned.ends_of_block


def push_reference(
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    queue: scan_order.BlockQueue,
    packed: jax.Array,
    headers: BlockHeaders,
    n_lanes: jax.Array,
    capacity: int,
) -> rans.Coder:
    """Encode the integers of all blocks, from ``scan_reference``, and then the headers."""
    coder = push_integers(model, scan, queue, packed, n_lanes, capacity)
    return push_headers(model, layout, headers, coder, n_lanes)


def _pop_headers_reference(
    model: EntropyModel, layout: BlockLayout, stream: WordStream
) -> tuple[BlockHeaders, rans.Coder]:
    return pop_headers(model, layout, rans.start_decoding(stream), stream.n_lanes)


REFERENCE_LOOPS = Loops(scan_reference, push_reference, _pop_headers_reference, pop_integers)
"""Loops in ``jax.numpy``, the specification of all kernels."""
GROUP_LOOPS = Loops(
    group_scan.scan_integers,
    group_bitstream.push_stream,
    group_bitstream.pop_headers,
    group_bitstream.pop_integers,
)
"""Loops by kernels of GPUs."""


TILE_LOOPS = REFERENCE_LOOPS._replace(
    scan_integers=tile_bitstream.scan_integers, push=tile_bitstream.push_stream
)
"""Loops of TPUs, with kernels where there may be any."""


def encode_stream(
    model: EntropyModel,
    layout: BlockLayout,
    symbols: BlockSymbols,
    n_lanes: jax.Array,
    scan: scan_order.ScanOrder | None = None,
) -> WordStream:
    """Encode blocks as one stream.

    Args:
        model: entropy model of the profile.
        layout: of the n blocks.
        symbols: of the blocks.
        n_lanes: int32, from ``interleaving.lanes_for``: each costs four bytes and shortens the loops.
        scan: of the model and the volume, if it is there already.
    """
    n_blocks, n_coefficients = symbols.points.shape
    kernel = partial(
        native_bitstream.encode,
        max_lanes=max_lanes_for(n_blocks),
        capacity=stream_capacity(n_blocks, n_coefficients),
    )
    scan = scan_order.make_scan_order(model, layout) if scan is None else scan
    gpu = partial(encode_by_loops, GROUP_LOOPS)
    arguments = (model, layout, scan, *symbols, n_lanes)
    return on_cpu(kernel, encode_reference, *arguments, gpu=gpu, tpu=_encode_by_tiles)


def encode_by_loops(
    loops: Loops,
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    points: jax.Array,
    first: jax.Array,
    classes: jax.Array,
    n_lanes: jax.Array,
) -> WordStream:
    """Encode blocks by loops of one kind of device."""
    packed, ends_of_block = loops.scan_integers(model, layout, scan, points)
    counts = scan_order.count_coded(scan, layout, ends_of_block)
    queue = scan_order.make_block_queue(layout, classes, counts)
    headers = BlockHeaders(classes, ends_of_block, first)
    capacity = stream_capacity(*points.shape)
    coder = loops.push(model, layout, scan, queue, packed, headers, n_lanes, capacity)
    return rans.finish_encoding(coder, n_lanes)


encode_reference = partial(encode_by_loops, REFERENCE_LOOPS)
"""Encode blocks in ``jax.numpy``: the specification of the kernels."""


def _encode_by_tiles(*arguments: Any) -> WordStream:
    """Encode blocks on a TPU, those of a batch in turn: a batch of stacks would be moved at every step."""
    encode = partial(encode_by_loops, TILE_LOOPS)
    if not may_use_tpu_kernels():
        return encode_reference(*arguments)
    stream: WordStream = jax.custom_batching.sequential_vmap(encode)(*arguments)
    return stream


def decode_headers(model: EntropyModel, layout: BlockLayout, stream: WordStream) -> BlockHeaders:
    """Decode the block headers of a stream, and leave its integers."""

    def by_loops(loops: Loops, *arguments: Any) -> BlockHeaders:
        model, layout, _, stream = arguments
        return loops.pop_headers(model, layout, stream)[0]

    def kernel(*arguments: Any) -> BlockHeaders:
        return native_bitstream.decode(*arguments, only_headers=True)[1]

    arguments = (model, layout, scan_order.make_scan_order(model, layout), stream)
    gpu = partial(by_loops, GROUP_LOOPS)
    return on_cpu(kernel, partial(by_loops, REFERENCE_LOOPS), *arguments, gpu=gpu)


def decode_stream(model: EntropyModel, layout: BlockLayout, stream: WordStream) -> BlockSymbols:
    """Decode blocks: the inverse of ``encode_stream``."""

    def kernel(*arguments: Any) -> BlockSymbols:
        points, headers = native_bitstream.decode(*arguments, only_headers=False)
        return BlockSymbols(points, headers.first, headers.classes)

    arguments = (model, layout, scan_order.make_scan_order(model, layout), stream)
    return on_cpu(kernel, decode_reference, *arguments, gpu=partial(decode_by_loops, GROUP_LOOPS))


def decode_by_loops(
    loops: Loops, model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, stream: WordStream
) -> BlockSymbols:
    """Decode blocks by loops of one kind of device."""
    headers, counts, coded = decode_in_order(loops, model, layout, scan, stream)
    points = scan_order.from_scan_order(scan, layout, counts, coded)
    return BlockSymbols(points, headers.first, headers.classes)


def decode_in_order(
    loops: Loops,
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    stream: WordStream,
    coding: CodingTables | None = None,
) -> tuple[BlockHeaders, jax.Array, jax.Array]:
    """Decode blocks, and leave their integers in the order of coding; ``coding`` are tables that are there.

    Returns:
        The headers, the number of coded integers of each block, int32 (n,), and the points of all blocks in
        half steps, int32, end to end.
    """
    headers, coder = loops.pop_headers(model, layout, stream)
    counts = scan_order.count_coded(scan, layout, headers.ends_of_block)
    queue = scan_order.make_block_queue(layout, headers.classes, counts)
    return headers, counts, loops.pop_integers(model, scan, queue, coder, stream.n_lanes, coding)


decode_reference = partial(decode_by_loops, REFERENCE_LOOPS)
"""Decode blocks in ``jax.numpy``: the specification of the kernels."""
