"""The bitstream: blocks of integers to one entropy-coded stream and back.

A stream holds two sequences, one after the other: the block headers (see ``block_headers``), and then all
other integers of all blocks (see ``scan_order``). The *lanes* of the entropy coder work in parallel.
Each takes an equal run of the headers, and then an equal run of the integers. Runs of integers begin
anywhere, also in the middle of a block.

rANS decodes in the reverse order of encoding. So the encoder pushes the integers first, from the last to the
first (see ``integer_runs``), and then the headers.
"""

from functools import partial
from typing import Any, NamedTuple

import jax

from nvc_jax.core.platforms import may_use_tpu_kernels
from nvc_jax.entropy import rans
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import native_bitstream, scan_order
from nvc_jax.spectral.block_headers import BlockHeaders
from nvc_jax.spectral.coding_tables import CodingTables
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.quantization import from_points, split_scanned
from nvc_jax.spectral.stream_loops import GROUP_LOOPS, REFERENCE_LOOPS, TILE_LOOPS, Loops
from nvc_jax.transform.block_layout import N_COEFFICIENTS, BlockLayout

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
    scan = scan_order.make_scan_order(model, layout)
    quantized = from_points(model, scan, layout, symbols.points)
    return encode_quantized(model, layout, scan, quantized, symbols, n_lanes)


def encode_quantized(
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    quantized: jax.Array,
    symbols: BlockSymbols,
    n_lanes: jax.Array,
    *,
    clears: bool = True,
) -> WordStream:
    """Encode blocks whose integers ``quantization.quantize`` has returned; see ``encode_stream``.

    Args:
        model: entropy model of the profile.
        layout: of the n blocks.
        scan: of the model and the volume.
        quantized: int32 (n, 512), the integers.
        symbols: of the blocks; points do not count.
        n_lanes: int32.
        clears: whether words behind the stream have to be 0. They take longer to clear than a short stream to
            encode.
    """
    n_blocks, n_coefficients = quantized.shape
    kernel = partial(
        native_bitstream.encode,
        max_lanes=max_lanes_for(n_blocks),
        capacity=stream_capacity(n_blocks, n_coefficients),
        clears=clears,
    )

    def gpu(model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, *others: Any) -> WordStream:
        quantized, first, classes, n_lanes = others
        scanned = split_scanned(quantized)
        return encode_scanned(GROUP_LOOPS, model, layout, scan, *scanned, first, classes, n_lanes)

    others = (quantized, symbols.first, symbols.classes, n_lanes)
    return on_cpu(kernel, encode_reference, model, layout, scan, *others, gpu=gpu, tpu=_encode_by_tiles)


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
    scanned = loops.scan_integers(model, layout, scan, points)
    return encode_scanned(loops, model, layout, scan, *scanned, first, classes, n_lanes)


def encode_scanned(
    loops: Loops,
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    packed: jax.Array,
    ends_of_block: jax.Array,
    first: jax.Array,
    classes: jax.Array,
    n_lanes: jax.Array,
) -> WordStream:
    """Encode blocks whose integers are in scan order: see ``stream_loops``."""
    counts = scan_order.count_coded(scan, layout, ends_of_block)
    queue = scan_order.make_block_queue(layout, classes, counts)
    headers = BlockHeaders(classes, ends_of_block, first)
    capacity = stream_capacity(len(classes), N_COEFFICIENTS)
    coder = loops.push(model, layout, scan, queue, packed, headers, n_lanes, capacity)
    return rans.finish_encoding(coder, n_lanes)


encode_reference = partial(encode_by_loops, REFERENCE_LOOPS)
"""Encode blocks in ``jax.numpy``: the specification of the kernels."""


def _encode_by_tiles(*arguments: Any) -> WordStream:
    """Encode blocks on a TPU, those of a batch in turn: a batch of stacks would be moved at every step."""
    if not may_use_tpu_kernels():
        return encode_reference(*arguments)
    encode = partial(encode_by_loops, TILE_LOOPS)
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
    gpu = partial(decode_by_loops, GROUP_LOOPS)
    return on_cpu(kernel, decode_reference, *arguments, gpu=gpu, tpu=_decode_by_tiles)


def _decode_by_tiles(*arguments: Any) -> BlockSymbols:
    """Decode blocks on a TPU, those of a batch in turn."""
    if not may_use_tpu_kernels():
        return decode_reference(*arguments)
    decode = jax.custom_batching.sequential_vmap(partial(decode_by_loops, TILE_LOOPS))
    symbols: BlockSymbols = decode(*arguments)
    return symbols


def decode_by_loops(
    loops: Loops, model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, stream: WordStream
) -> BlockSymbols:
    """Decode blocks by loops of one kind of device."""
    headers, coder, counts, queue = _decode_queue(loops, model, layout, scan, stream)
    points = loops.pop_points(model, layout, scan, counts, queue, coder, stream.n_lanes)
    return BlockSymbols(points, headers.first, headers.classes)


def _decode_queue(
    loops: Loops, model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, stream: WordStream
) -> tuple[BlockHeaders, rans.Coder, jax.Array, scan_order.BlockQueue]:
    """Decode headers: those, the state, the number of coded integers of each block, and the queue."""
    headers, coder = loops.pop_headers(model, layout, stream)
    counts = scan_order.count_coded(scan, layout, headers.ends_of_block)
    return headers, coder, counts, scan_order.make_block_queue(layout, headers.classes, counts)


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
    headers, coder, counts, queue = _decode_queue(loops, model, layout, scan, stream)
    return headers, counts, loops.pop_integers(model, scan, queue, coder, stream.n_lanes, coding)


decode_reference = partial(decode_by_loops, REFERENCE_LOOPS)
"""Decode blocks in ``jax.numpy``: the specification of the kernels."""
