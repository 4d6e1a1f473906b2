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
import numpy as np
from jax import lax

from nvc_jax.core import batching
from nvc_jax.entropy import frequency_tables, native_geometric, rans
from nvc_jax.entropy.geometric_distributions import (
    DECAYS,
    MEANS,
    N_SCALES,
    geometric_frequencies,
    powers_of_cube_root,
)
from nvc_jax.entropy.interleaving import lanes_for, max_lanes_for, share_out
from nvc_jax.native.dispatch import on_cpu

_HALF_SCALE = 1.2599210498948732
"""Ratio of two mean magnitudes that are half a scale apart: 2**(1/3)."""
_SUM_UNITS = 256
"""Sums of magnitudes count in units of 1/256, because expected magnitudes may be far below 1."""
_MAX_SUM = 1 << 26
"""Largest sum of magnitudes, in units: so that thresholds fit in 32 bits."""
_START_SHARE_BITS = 6
"""A block's sum begins with 1/64 of the sum expected of all its dimensions, 64 being 2**_START_SHARE_BITS.

A share above 0 keeps the first integers of a block from shifting scales at once. A small one lets the block's
own magnitudes soon outweigh it. The value is part of the format.
"""
_MIN_START = _SUM_UNITS // 2
"""Smallest sum that a block begins with, in units: a single small integer says little about a block."""
_SHIFTS = np.arange(-8, 9)
"""Shifts −8 … 8 of a scale each have a threshold; below the smallest threshold the shift is −9."""
_RATIO_BITS = 12
"""Fractional bits of the ratios between thresholds and the expected sum."""
_BITS_PER_LANE = 3200
"""Bits of the stream for each lane: the 32 bits of its state are then 1 % of them.

The number of lanes is stored, so a decoder does not depend on this value.
"""
_MAX_STEPS = 16384
"""Approximate limit of the integers of a lane: they take time even if they take almost no bits."""
_BIT_UNITS = 16
"""Units of a bit in estimates, which are sums of integers: so kernels and ``jax.numpy`` agree."""
_MAX_BITS = 36 * _BIT_UNITS
"""Most bits of an integer in estimates, in units: about those of an escape."""
_COMMON_SCALE_OFFSETS = (0, 3, 6, 9, 12, 15)
"""Distances below the usual scale that ``choose_common_scale`` tries: its mean magnitude over 4**0 … 4**5.

Every candidate takes a pass over all integers, so they are two octaves of the mean magnitude apart.
"""

EXPECTED_UNITS = np.maximum(np.rint(MEANS * _SUM_UNITS), 1).astype(np.uint32)
"""Mean magnitudes of the distributions in 1/256, uint32 (N_SCALES,)."""
SHIFT_RATIOS = np.rint(powers_of_cube_root(_SHIFTS) * (1 << _RATIO_BITS) / _HALF_SCALE).astype(np.uint32)
"""Ratios of thresholds to the expected sum, in 1/4096, uint32 (17,).

A sum of at least ratio k of the expected sum shifts the scale by at least k − 8.
"""


def _frequencies() -> jax.Array:
    """Frequencies of the distributions."""
    # Without the barrier XLA would spend seconds on computing constant tables while it compiles.
    return lax.optimization_barrier(jnp.asarray(geometric_frequencies()))


def choose_scales(values: jax.Array) -> jax.Array:
    """Choose the scale of each dimension by the mean magnitude of its integers.

    Args:
        values: int32 (dims, n).

    Returns:
        int32 (dims,).
    """
    means = jnp.mean(jnp.abs(values).astype(jnp.float32), axis=1)
    borders = jnp.asarray(np.sqrt(MEANS[1:] * MEANS[:-1]), jnp.float32)
    return jnp.sum(means[:, None] >= borders[None], axis=1, dtype=jnp.int32)


def choose_common_scale(values: jax.Array) -> jax.Array:
    """Choose the one scale for all dimensions that takes the fewest bits, as estimated.

    Where a few blocks hold nearly all the energy, a scale below that of the mean magnitude is cheaper: it
    suits the blocks of low energy, and the others shift it up.

    Args:
        values: int32 (dims, n).

    Returns:
        int32 scalar.
    """
    usual = choose_scales(values.reshape(1, -1))
    candidates = jnp.maximum(usual - jnp.array(_COMMON_SCALE_OFFSETS, jnp.int32), 0)

    def bits(scale: jax.Array) -> jax.Array:
        return _estimate_bits(values, jnp.broadcast_to(scale, len(values)))

    return candidates[jnp.argmin(lax.map(bits, candidates))]


def choose_tables(values: jax.Array, scales: jax.Array) -> jax.Array:
    """Find the table by which each integer is coded: the index of a distribution, int32 (dims, n).

    Args:
        values: int32 (dims, n).
        scales: int32 (dims,).
    """
    return _choose_tables(values, scales, *_start_and_thresholds(scales))


def _choose_tables(
    values: jax.Array, scales: jax.Array, start: jax.Array, thresholds: jax.Array
) -> jax.Array:
    """Find tables as ``choose_tables`` does, from what ``_start_and_thresholds`` returns."""

    def choose(total: jax.Array, inputs: tuple) -> tuple[jax.Array, jax.Array]:
        value, scale, threshold = inputs
        return _add_magnitudes(total, value), _shifted_scale(total, scale, threshold)

    totals = jnp.zeros_like(values[0]).astype(jnp.uint32) + start
    return lax.scan(choose, totals, (values, scales, thresholds))[1]


def _start_and_thresholds(scales: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute the sum that every block begins with, and the thresholds of the later sums.

    Returns:
        uint32, the initial sum in units; and uint32 (dims, shifts), for each dimension and shift the smallest
        sum that shifts the scale at least so far.
    """
    expected = jnp.asarray(EXPECTED_UNITS)[scales]
    start = jnp.sum(expected, dtype=jnp.uint32) >> jnp.uint32(_START_SHARE_BITS)
    start = jnp.clip(start, _MIN_START, _MAX_SUM)
    expected_before = jnp.cumsum(expected, dtype=jnp.uint32) - expected
    expected_before = jnp.minimum(expected_before + start, _MAX_SUM)[:, None]

    # The product of sum and ratio in two parts, so that each fits in 32 bits.
    ratios, fraction_bits = jnp.asarray(SHIFT_RATIOS)[None], jnp.uint32(_RATIO_BITS)
    low = (expected_before & jnp.uint32((1 << _RATIO_BITS) - 1)) * ratios >> fraction_bits
    return start, (expected_before >> fraction_bits) * ratios + low


def _shifted_scale(total: jax.Array, scale: jax.Array, thresholds: jax.Array) -> jax.Array:
    """Shift a dimension's scale by the sums of magnitudes so far, ``total``: int32 of its shape."""
    n_reached = jnp.sum(total[:, None] >= thresholds[None], axis=1, dtype=jnp.int32)
    return jnp.clip(scale.astype(jnp.int32) + n_reached + (int(_SHIFTS[0]) - 1), 0, N_SCALES - 1)


def _add_magnitudes(total: jax.Array, values: jax.Array) -> jax.Array:
    """Add magnitudes to sums in units, uint32, without overflow."""
    magnitudes = jnp.minimum(jnp.abs(values), _MAX_SUM // _SUM_UNITS).astype(jnp.uint32)
    return jnp.minimum(total + magnitudes * jnp.uint32(_SUM_UNITS), _MAX_SUM)


def _estimate_bits(values: jax.Array, scales: jax.Array) -> jax.Array:
    """Estimate the bits of integers by the distributions whose tables they are coded by; float32."""
    zero = jnp.asarray(_in_units(-np.log2((1 - DECAYS) / (1 + DECAYS))))
    further = jnp.asarray(_in_units(-np.log2(DECAYS)))
    arguments = (values, scales, *_start_and_thresholds(scales), zero, further)
    by_dimension = on_cpu(native_geometric.estimate_bits, estimate_reference, *arguments)
    return jnp.sum(by_dimension.astype(jnp.float32)) / _BIT_UNITS


def _in_units(bits: np.ndarray) -> np.ndarray:
    """Convert bits to units of 1/16, int32, at most _MAX_BITS."""
    return np.minimum(np.rint(bits * _BIT_UNITS), _MAX_BITS).astype(np.int32)


def estimate_reference(
    values: jax.Array,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    zero: jax.Array,
    further: jax.Array,
) -> jax.Array:
    """Estimate the bits of each dimension in ``jax.numpy``: the specification of the kernel.

    Args:
        values: int32 (dims, n).
        scales: int32 (dims,).
        start: uint32, from ``_start_and_thresholds``, as is the next argument.
        thresholds: uint32 (dims, shifts).
        zero: int32 (N_SCALES,), bits of a zero, in 1/16.
        further: int32 (N_SCALES,), bits of each step of the magnitude, in 1/16.

    Returns:
        int32 (dims,), in 1/16 bit.
    """
    tables = _choose_tables(values, scales, start, thresholds)
    magnitudes = jnp.minimum(jnp.abs(values), _MAX_BITS)
    bits = jnp.minimum(zero[tables] + further[tables] * magnitudes, _MAX_BITS)
    return jnp.sum(bits, axis=1, dtype=jnp.int32)


def capacity(n_blocks: int, n_dims: int) -> int:
    """Number of 16-bit words that holds every stream of ``n_blocks`` blocks of ``n_dims`` dimensions."""
    return rans.capacity(n_blocks * n_dims, max_lanes_for(n_blocks))


def encode(values: jax.Array, scales: jax.Array, count: jax.Array | None = None) -> rans.WordStream:
    """Code integers.

    Args:
        values: int32 (dims, n), the integers of n blocks; magnitudes up to ``tokens.MAX_MAGNITUDE``.
        scales: int32 (dims,), any below N_SCALES; best from ``choose_scales``.
        count: int32, number of blocks to code, from the first; None for all.
    """
    n_dims, n_blocks = values.shape
    count = jnp.int32(n_blocks) if count is None else count
    min_bits = count.astype(jnp.float32) * (n_dims * _BITS_PER_LANE / _MAX_STEPS)
    bits = jnp.maximum(_estimate_bits(values, scales), min_bits)
    n_lanes = lanes_for(bits, _BITS_PER_LANE, n_blocks)
    arguments = (values, scales, *_start_and_thresholds(scales), _frequencies(), count, n_lanes)
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
) -> rans.WordStream:
    """Code integers in ``jax.numpy``: the specification of the kernel; see ``encode``."""
    n_dims, n_blocks = values.shape
    table_indices = _choose_tables(values, scales, start, thresholds)
    # The first groups may have a block for each lane more than their share.
    max_lanes = max_lanes_for(n_blocks)
    coder = rans.start_encoding(n_lanes, max_lanes, capacity(n_blocks + max_lanes, n_dims))
    runs = share_out(count, n_lanes, len(coder.states))
    tables = frequency_tables.make_tables(frequencies)
    n_steps = runs.length * n_dims

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = n_steps - 1 - backwards
        block, active = runs.at(step // n_dims)
        dimension, index = step % n_dims, jnp.minimum(block, n_blocks - 1)
        return rans.push(coder, tables, table_indices[dimension, index], values[dimension, index], active)

    coder = lax.fori_loop(0, n_steps, push, batching.varying_like(values, coder))
    stream = rans.finish_encoding(coder, n_lanes)
    return stream._replace(words=stream.words[: capacity(n_blocks, n_dims)])


def decode(
    stream: rans.WordStream, scales: jax.Array, n_blocks: int, count: jax.Array | None = None
) -> jax.Array:
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
    arguments = (stream, scales, *_start_and_thresholds(scales), _frequencies(), count)
    return on_cpu(kernel, reference, *arguments)


def decode_reference(
    stream: rans.WordStream,
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
        table_index = _shifted_scale(total, scales[dimension], thresholds[dimension])
        coder, value = rans.pop(coder, tables, table_index, active)
        values = values.at[dimension, jnp.where(active, block, n_blocks)].set(value, mode="drop")
        return coder, values, _add_magnitudes(total, value)

    empty = (jnp.zeros((n_dims, n_blocks), jnp.int32), jnp.zeros(len(runs.starts), jnp.uint32))
    state = (coder, *batching.varying_like(stream.words, empty))
    return lax.fori_loop(0, runs.length * n_dims, pop, state)[1]
