"""Loops over all lanes of a stream: their specification, and the forms that each kind of device runs."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from nvc_jax.entropy import rans
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.spectral import (
    dependent_quantization,
    group_bitstream,
    group_scan,
    scan_order,
    tile_bitstream,
    tile_runs,
)
from nvc_jax.spectral.block_headers import BlockHeaders, pop_headers, push_headers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.integer_runs import pack_integers, pop_integers, push_integers
from nvc_jax.transform.block_layout import BlockLayout


class Loops(NamedTuple):
    """Loops of a stream over all of its lanes, on one kind of device.

    Attributes:
        scan_integers: takes what ``scan_reference`` takes.
        push: takes what ``push_reference`` takes.
        pop_headers: takes a model, a layout and a stream.
        pop_integers: takes what ``integer_runs.pop_integers`` takes.
        pop_points: takes what ``pop_reference`` takes.
    """

    scan_integers: Callable[..., tuple[jax.Array, jax.Array]]
    push: Callable[..., rans.Coder]
    pop_headers: Callable[[EntropyModel, BlockLayout, WordStream], tuple[BlockHeaders, rans.Coder]]
    pop_integers: Callable[..., jax.Array]
    pop_points: Callable[..., jax.Array]


def scan_reference(
    model: EntropyModel, layout: BlockLayout, scan: scan_order.ScanOrder, points: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Bring the integers of blocks, points int32 (n, 512), into scan order.

    Returns:
        The integers, int32 (n · 511,), from ``pack_integers``; and the ends of blocks, int32 (n,), from
        ``scan_order.find_ends``. Integers behind the end of a block are arbitrary.
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


def _pop_in_order(
    pop: Callable[..., jax.Array],
    model: EntropyModel,
    layout: BlockLayout,
    scan: scan_order.ScanOrder,
    counts: jax.Array,
    queue: scan_order.BlockQueue,
    coder: rans.Coder,
    n_lanes: jax.Array,
    **options: Any,
) -> jax.Array:
    """Decode the points of all blocks, int32 (n, 512), in half steps, of which ``counts`` are coded."""
    coded = pop(model, scan, queue, coder, n_lanes, **options)
    return scan_order.from_scan_order(scan, layout, counts, coded)


pop_reference = partial(_pop_in_order, pop_integers)
REFERENCE_LOOPS = Loops(scan_reference, push_reference, _pop_headers_reference, pop_integers, pop_reference)
"""Loops in ``jax.numpy``, the specification of all kernels."""
GROUP_LOOPS = Loops(
    group_scan.scan_integers,
    group_bitstream.push_stream,
    group_bitstream.pop_headers,
    group_bitstream.pop_integers,
    partial(_pop_in_order, group_bitstream.pop_integers),
)
"""Loops by kernels of GPUs."""
TILE_LOOPS = REFERENCE_LOOPS._replace(
    scan_integers=tile_bitstream.scan_integers,
    push=tile_bitstream.push_stream,
    pop_points=tile_runs.pop_points,
)
"""Loops of TPUs, with kernels where there may be any."""
