"""Label coder: the labels of a volume to words and back, on the device.

``label_walk`` goes through the items of a volume. The encoder walks forwards and records the intervals of all
symbols, then pushes them in the reverse order. The decoder takes the symbols from the stream as it walks.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import intervals, native_labels, rans
from nvc_jax.entropy.label_contexts import BLOCK
from nvc_jax.entropy.label_walk import BATCH, Batch, Volume, max_batches, padded_sides, walk
from nvc_jax.entropy.word_stack import GROUP_LANES
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import on_cpu

MAX_LANES = GROUP_LANES
"""Largest number of lanes, those of one group; part of the format."""
_BITS_PER_LANE = 2400
"""Bits of a stream for each lane, which itself costs about 24."""
_MAX_STEPS = 16384
"""Approximate limit of the items of a lane: they take time even if they take almost no bits."""


def capacity(padded_shape: Shape3) -> int:
    """Number of 16-bit words that holds every stream of a padded shape."""
    depth, height, width = padded_sides(padded_shape)
    return depth * height * width // BLOCK**2 * (BLOCK**2 + 1) + rans.WORDS_PER_LANE * MAX_LANES


class _Log(NamedTuple):
    """Record of all batches, from which the encoder makes the stream.

    Attributes:
        entries: uint32 (batches, BATCH), packed intervals.
        counts: int32 (batches,), items of the batches.
        n_batches: int32.
        escaped: uint8 (voxels,), the escaped labels.
        n_escaped: int32.
    """

    entries: jax.Array
    counts: jax.Array
    n_batches: jax.Array
    escaped: jax.Array
    n_escaped: jax.Array


@functools.partial(jax.jit, static_argnums=0)
def encode(
    padded_shape: Shape3, volume: Volume, labels: jax.Array
) -> tuple[WordStream, jax.Array, jax.Array]:
    """Encode labels.

    Args:
        padded_shape: (slices, y, x); static.
        volume: its properties.
        labels: uint8, of ``padded_sides(padded_shape)``.

    Returns:
        The stream; uint8 (voxels,), the escaped labels; and int32, the number of these.
    """
    kernel = functools.partial(native_labels.encode, capacity=capacity(padded_shape))
    return on_cpu(kernel, functools.partial(encode_reference, padded_shape), volume, labels)


def encode_reference(
    padded_shape: Shape3, volume: Volume, labels: jax.Array
) -> tuple[WordStream, jax.Array, jax.Array]:
    """Encode labels in ``jax.numpy``: the specification of the kernel; see ``encode``."""
    n_batches = max_batches(padded_shape)
    entries = jnp.zeros((n_batches, BATCH), jnp.uint32)
    zero = jnp.int32(0)
    log = _Log(entries, jnp.zeros(n_batches, jnp.int32), zero, jnp.zeros(labels.size, jnp.uint8), zero)
    log, _ = walk(padded_shape, volume, log, functools.partial(_record, labels, _find_changes(labels)))

    sizes = (log.entries >> jnp.uint32(intervals.PRECISION)) + 1
    is_used = jnp.arange(n_batches)[:, None] < log.n_batches
    of_batches = jnp.sum(jnp.where(is_used, _units_of(sizes), 0), axis=1, dtype=jnp.uint32)
    units = jnp.sum((of_batches >> jnp.uint32(4)).astype(jnp.int32), dtype=jnp.int32)
    items = jnp.sum(log.counts, dtype=jnp.int32)
    n_lanes = jnp.maximum(
        units.astype(jnp.float32) / (16 * _BITS_PER_LANE), items.astype(jnp.float32) / _MAX_STEPS
    )
    n_lanes = jnp.clip(n_lanes, 1, MAX_LANES).astype(jnp.int32)

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        index = log.n_batches - 1 - backwards
        return intervals.push_batch(coder, log.entries[index], log.counts[index], n_lanes)

    coder = rans.start_encoding(n_lanes, MAX_LANES, capacity(padded_shape))
    coder = lax.fori_loop(0, log.n_batches, push, coder)
    return rans.finish_encoding(coder, n_lanes), log.escaped, log.n_escaped


def _units_of(sizes: jax.Array) -> jax.Array:
    """Bits of intervals of these sizes, in 1/256, linear between powers of two: uint32 of their shape."""
    exponent = jnp.uint32(31) - lax.clz(sizes)
    longer = jnp.maximum(exponent, 8) - jnp.uint32(8)
    mantissa = (sizes << (jnp.uint32(8) - jnp.minimum(exponent, 8))) >> longer
    return jnp.uint32(256 * intervals.PRECISION) - (exponent * jnp.uint32(256) + mantissa - 256)


def _find_changes(labels: jax.Array) -> jax.Array:
    """Find the blocks that differ from the slice before, bool (slices, blocks y, blocks x)."""
    before = jnp.pad(labels[:-1], ((1, 0), (0, 0), (0, 0)))
    depth, height, width = labels.shape
    blocks = (labels != before).reshape(depth, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return jnp.any(blocks, axis=(2, 4))


def _record(
    labels: jax.Array, changes: jax.Array, log: _Log, batch: Batch, of_blocks: bool
) -> tuple[_Log, jax.Array, jax.Array]:
    """Take the symbols of a batch from the labels, and record their intervals."""
    z, y, x = batch.position
    if of_blocks:
        symbols = changes[z, y // BLOCK, x // BLOCK].astype(jnp.int32)
        taken = jnp.zeros(BATCH, jnp.uint8)
    else:
        taken = labels[z, y, x]
        symbols = jnp.sum(jnp.cumprod(batch.candidates != taken[None], axis=0), axis=0, dtype=jnp.int32)
    symbols = jnp.where(batch.is_valid, symbols, 0)

    is_escaped = symbols == 3
    ranks = jnp.cumsum(is_escaped, dtype=jnp.int32)
    position = jnp.where(is_escaped, log.n_escaped + ranks - 1, len(log.escaped))
    entries = intervals.pack_intervals(batch.ends, symbols)
    log = _Log(
        lax.dynamic_update_slice(log.entries, entries[None], (log.n_batches, jnp.int32(0))),
        log.counts.at[log.n_batches].set(batch.n_items),
        log.n_batches + 1,
        log.escaped.at[position].set(taken, mode="drop"),
        log.n_escaped + ranks[-1],
    )
    return log, symbols, taken


class _Stream(NamedTuple):
    """State of decoding.

    Attributes:
        coder: of the words.
        n_escaped: int32, escaped labels so far.
    """

    coder: rans.Coder
    n_escaped: jax.Array


@functools.partial(jax.jit, static_argnums=0)
def decode(
    padded_shape: Shape3, volume: Volume, stream: WordStream, escaped: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Decode labels; the inverse of ``encode``.

    Args:
        padded_shape: (slices, y, x); static.
        volume: properties of the volume.
        stream: from ``encode``.
        escaped: uint8 (voxels,), the escaped labels.

    Returns:
        Labels, uint8 of ``padded_sides(padded_shape)``; int32, the number of escaped labels; and bool,
        whether the stream ends as every encoder ends it.
    """
    kernel = functools.partial(native_labels.decode, sides=padded_sides(padded_shape))
    return on_cpu(kernel, functools.partial(decode_reference, padded_shape), volume, stream, escaped)


def decode_reference(
    padded_shape: Shape3, volume: Volume, stream: WordStream, escaped: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Decode labels in ``jax.numpy``: the specification of the kernel; see ``decode``."""

    def take(source: _Stream, batch: Batch, of_blocks: bool) -> tuple[_Stream, jax.Array, jax.Array]:
        coder, symbols = intervals.pop_batch(source.coder, batch.ends, batch.n_items, stream.n_lanes)
        if of_blocks:
            return _Stream(coder, source.n_escaped), symbols, jnp.zeros(BATCH, jnp.uint8)
        is_escaped = symbols == 3
        ranks = jnp.cumsum(is_escaped, dtype=jnp.int32)
        taken = escaped.at[source.n_escaped + ranks - 1].get(mode="clip")
        candidate = jnp.take_along_axis(batch.candidates, jnp.minimum(symbols, 2)[None], axis=0)[0]
        labels = jnp.where(is_escaped, taken, candidate)
        return _Stream(coder, source.n_escaped + ranks[-1]), symbols, labels

    source = _Stream(rans.start_decoding(stream), jnp.int32(0))
    (coder, n_escaped), labels = walk(padded_shape, volume, source, take)
    return labels, n_escaped, rans.ends_well(coder, stream)
