"""Adaptive geometric coder: integers of several dimensions as one rANS stream.

The input is a matrix: one row for each *dimension*, one column for each *block*. The integers of a dimension
follow a two-sided geometric distribution, one of a fixed family of N_SCALES. A dimension's *scale* is the
index of its distribution; from one scale to the next the mean magnitude grows by 2/3 of an octave.

Within a block, the coder adds up the magnitudes of the dimensions so far and compares the sum with the one
expected from their scales. A smaller sum shifts the scale of the next dimension down, a larger one up. So
blocks of low energy cost little, although no scale is stored for them. Encoder and decoder follow the same
integers, so the tables are the same on both sides.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core import batching
from nvc_jax.entropy import frequency_tables, native_geometric, rans
from nvc_jax.entropy.geometric_adaptation import (
    add_magnitudes,
    estimate_bits,
    shifted_scale,
    start_and_thresholds,
    tables_from,
)
from nvc_jax.entropy.geometric_distributions import geometric_frequencies
from nvc_jax.entropy.interleaving import lanes_for, max_lanes_for, share_out
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import on_cpu

_BITS_PER_LANE = 3200
"""Bits of the stream for each lane: the 32 bits of its state are then 1 % of them.

The number of lanes is stored, so a decoder does not depend on this value.
"""
_MAX_STEPS = 16384
"""Approximate limit of the integers of a lane: they take time even if they take almost no bits."""


def coded_frequencies() -> jax.Array:
    """Frequencies of the distributions."""
    # Without the barrier XLA would spend seconds on computing constant tables while it compiles.
    return lax.optimization_barrier(jnp.asarray(geometric_frequencies()))


def capacity(n_blocks: int, n_dims: int) -> int:
    """Number of 16-bit words that holds every stream of ``n_blocks`` blocks of ``n_dims`` dimensions."""
    return rans.capacity(n_blocks * n_dims, max_lanes_for(n_blocks))


def encode(values: jax.Array, scales: jax.Array, count: jax.Array | None = None) -> WordStream:
    """Code integers.

    Args:
        values: int32 (dims, n), the integers of n blocks; magnitudes up to ``tokens.MAX_MAGNITUDE``.
        scales: int32 (dims,), any below N_SCALES; best from ``choose_scales``.
        count: int32, number of blocks to code, from the first; None for all.
    """
    n_dims, n_blocks = values.shape
    count = jnp.int32(n_blocks) if count is None else count
    min_bits = count.astype(jnp.float32) * (n_dims * _BITS_PER_LANE / _MAX_STEPS)
    bits = jnp.maximum(estimate_bits(values, scales, count), min_bits)
    n_lanes = lanes_for(bits, _BITS_PER_LANE, n_blocks)
    arguments = (values, scales, *start_and_thresholds(scales), coded_frequencies(), count, n_lanes)
    kernel = functools.partial(
        native_geometric.encode, max_lanes=max_lanes_for(n_blocks), capacity=capacity(n_blocks, n_dims)
    )
    return on_cpu(kernel, encode_reference, *arguments)


def encode_reference(
    values: jax.Array,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    frequencies: jax.Array,
    count: jax.Array,
    n_lanes: jax.Array,
) -> WordStream:
    """Code integers in ``jax.numpy``: the specification of the kernel; see ``encode``."""
    n_dims, n_blocks = values.shape
    table_indices = tables_from(values, scales, start, thresholds)
    # The first groups may have a block for each lane more than their share.
    max_lanes = max_lanes_for(n_blocks)
    coder = rans.start_encoding(n_lanes, max_lanes, capacity(n_blocks + max_lanes, n_dims))
    runs = share_out(count, n_lanes, len(coder.states))
    tables = frequency_tables.make_tables(frequencies)
    n_steps = runs.length * n_dims

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = n_steps - 1 - backwards
        block, active = runs.at(step // n_dims)
        dimension, index = step % n_dims, jnp.clip(block, 0, n_blocks - 1)
        return rans.push(coder, tables, table_indices[dimension, index], values[dimension, index], active)

    coder = lax.fori_loop(0, batching.common_bound(n_steps), push, batching.varying_like(values, coder))
    stream = rans.finish_encoding(coder, n_lanes)
    return stream._replace(words=stream.words[: capacity(n_blocks, n_dims)])


def decode(stream: WordStream, scales: jax.Array, n_blocks: int, count: jax.Array | None = None) -> jax.Array:
    """Decode integers; the inverse of ``encode``.

    Args:
        stream: from ``encode``.
        scales: int32 (dims,).
        n_blocks: number of blocks of the result; static.
        count: int32, number of blocks that were coded; None for all.

    Returns:
        int32 (dims, n_blocks), zero from block ``count`` on.
    """
    count = jnp.int32(n_blocks) if count is None else count
    kernel = functools.partial(native_geometric.decode, n_blocks=n_blocks)
    reference = functools.partial(decode_reference, n_blocks=n_blocks)
    arguments = (stream, scales, *start_and_thresholds(scales), coded_frequencies(), count)
    return on_cpu(kernel, reference, *arguments)


def decode_reference(
    stream: WordStream,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    frequencies: jax.Array,
    count: jax.Array,
    *,
    n_blocks: int,
) -> jax.Array:
    """Decode integers in ``jax.numpy``: the specification of the kernel; see ``decode``."""
    n_dims = len(scales)
    coder = rans.start_decoding(stream)
    runs = share_out(count, stream.n_lanes, len(coder.states))
    tables = frequency_tables.make_tables(frequencies)

    def pop(step: jax.Array, state: tuple) -> tuple:
        coder, values, total = state
        block, active = runs.at(step // n_dims)
        dimension = step % n_dims
        total = jnp.where(dimension == 0, start, total)
        table_index = shifted_scale(total, scales[dimension], thresholds[dimension])
        coder, value = rans.pop(coder, tables, table_index, active)
        values = values.at[dimension, jnp.where(active, block, n_blocks)].set(value, mode="drop")
        return coder, values, add_magnitudes(total, value)

    empty = (jnp.zeros((n_dims, n_blocks), jnp.int32), jnp.zeros(len(runs.starts), jnp.uint32))
    state = (coder, *batching.varying_like(stream.words, empty))
    return lax.fori_loop(0, batching.common_bound(runs.length * n_dims), pop, state)[1]
