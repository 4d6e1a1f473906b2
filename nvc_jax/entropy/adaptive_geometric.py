"""Integers of many dimensions by two-sided geometric distributions, coded as one stream.

A dimension's distribution is one of a fixed family, by its *scale*: its mean magnitude in steps of 2/3 of an
octave. Within a block, the magnitudes of the dimensions before, against what their scales let expect, shift
it: quiet blocks cost little. Encoder and decoder follow the same integers.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core import batching
from nvc_jax.entropy import frequency_tables, rans, tokens
from nvc_jax.entropy.interleaving import lanes_for, max_lanes_for, share_out

N_SCALES = 32
MAX_MEAN_BITS = 13
"""Bits of the largest mean magnitude that the tables are made for, about."""
_UNIT = 256  # of expected magnitudes
_MAX_SUM = 1 << 26  # magnitudes are added up to here, so that thresholds fit in 32 bits
_SHIFTS = np.arange(-8, 9)
_CUBE_ROOTS = np.array([1, 1.5874010519681994, 2.519842099789747])  # 4 to the power of 0, 1/3, 2/3
_BITS_PER_LANE = 3200  # a lane's 32 bits cost 1 % of them
_MAX_STEPS = 16384  # of integers to a lane, near enough


def _powers_of_two_thirds(exponents: np.ndarray) -> np.ndarray:
    """4 to the power of ``exponents`` / 3: the same float64 on every machine, which powers are not."""
    return np.ldexp(_CUBE_ROOTS[exponents % 3], 2 * (exponents // 3))


_MEANS = _powers_of_two_thirds(np.arange(N_SCALES) - 12)
"""Mean magnitudes of the distributions: 2/3 of an octave apart, from 2**-8."""
_EXPECTED = np.maximum(np.rint(_MEANS * _UNIT), 1).astype(np.uint32)
# A sum this far above what was expected shifts the distribution at least so far; in 1/4096.
_RATIOS = np.rint(_powers_of_two_thirds(_SHIFTS) * 4096 / 1.2599210498948732).astype(np.uint32)


@functools.cache
def _frequencies() -> np.ndarray:
    """Tables of the two-sided geometric distributions with ``_MEANS``, uint16 (32, 64).

    Made of operations that IEEE 754 rounds correctly, and of sums of whole numbers: the same everywhere.
    """
    decay = ((np.sqrt(1 + _MEANS**2) - 1) / _MEANS)[:, None]
    first, count = tokens.token_ranges()
    share = _power(decay, first) * (1 - _power(decay, count)) / (1 + decay)
    share[:, 0] = ((1 - decay) / (1 + decay))[:, 0]
    # Tokens too rare to take a frequency from the others follow an escape.
    whole = np.where(share < 2.0**-24, 0, np.floor(share * 2.0**30))
    return frequency_tables.quantize_frequencies(np.append(whole, np.full((N_SCALES, 1), 2.0**16), axis=1))


def _tables() -> frequency_tables.Tables:
    # XLA would spend seconds on preparing constant tables while it compiles.
    return frequency_tables.make_tables(lax.optimization_barrier(jnp.asarray(_frequencies())))


def _power(base: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``base ** exponent`` for whole exponents, by squaring."""
    result = np.ones(np.broadcast_shapes(base.shape, exponent.shape))
    for bit in range(int(exponent.max()).bit_length()):
        result = np.where(exponent >> bit & 1, result * base, result)
        base = base * base
    return result


def choose_scales(values: jax.Array) -> jax.Array:
    """Scale of each dimension, int32 (dims,), from its integers (dims, n)."""
    means = jnp.mean(jnp.abs(values).astype(jnp.float32), axis=1)
    borders = jnp.asarray(np.sqrt(_MEANS[1:] * _MEANS[:-1]), jnp.float32)
    return jnp.sum(means[:, None] >= borders[None], axis=1, dtype=jnp.int32)


def _expect(scales: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What sums of magnitudes, in 1/_UNIT, are held against.

    Returns:
        uint32, the sum that every block begins with, a little of what is expected; and uint32
        (dims, shifts), from which sums on a dimension's distribution is shifted.
    """
    expected = jnp.asarray(_EXPECTED)[scales]
    # Half a step at least: a single small integer says little about a block.
    start = jnp.clip(jnp.sum(expected, dtype=jnp.uint32) >> jnp.uint32(6), _UNIT // 2, _MAX_SUM)
    before = jnp.cumsum(expected, dtype=jnp.uint32) - expected
    before = jnp.minimum(before + start, _MAX_SUM)[:, None]
    ratios = jnp.asarray(_RATIOS)[None]
    # In two parts, so that products fit in 32 bits.
    low = (before & jnp.uint32(4095)) * ratios >> jnp.uint32(12)
    return start, (before >> jnp.uint32(12)) * ratios + low


def _row(total: jax.Array, scale: jax.Array, thresholds: jax.Array) -> jax.Array:
    """Tables, int32, of a dimension in blocks whose magnitudes so far add up to ``total``."""
    n_above = jnp.sum(total[:, None] >= thresholds[None], axis=1, dtype=jnp.int32)
    return jnp.clip(scale.astype(jnp.int32) + n_above + (int(_SHIFTS[0]) - 1), 0, N_SCALES - 1)


def _add(total: jax.Array, values: jax.Array) -> jax.Array:
    magnitudes = jnp.minimum(jnp.abs(values), _MAX_SUM // _UNIT).astype(jnp.uint32)
    return jnp.minimum(total + magnitudes * jnp.uint32(_UNIT), _MAX_SUM)


def _choose_rows(values: jax.Array, scales: jax.Array) -> jax.Array:
    """Table of every integer, int32 (dims, n): what the decoder will find."""
    start, thresholds = _expect(scales)

    def choose(total: jax.Array, inputs: tuple) -> tuple[jax.Array, jax.Array]:
        value, scale, threshold = inputs
        return _add(total, value), _row(total, scale, threshold)

    totals = jnp.zeros_like(values[0]).astype(jnp.uint32) + start
    return lax.scan(choose, totals, (values, scales, thresholds))[1]


def _estimate_bits(values: jax.Array, rows: jax.Array) -> jax.Array:
    decay = (np.sqrt(1 + _MEANS**2) - 1) / _MEANS
    zero = jnp.asarray(-np.log2((1 - decay) / (1 + decay)), jnp.float32)
    further = jnp.asarray(-np.log2(decay), jnp.float32)
    return jnp.sum(zero[rows] + further[rows] * jnp.abs(values).astype(jnp.float32))


def choose_common_scale(values: jax.Array) -> jax.Array:
    """The one scale for all dimensions, int32 (), that makes integers (dims, n) cheapest, about.

    Where a few blocks hold nearly all there is, quiet ones are better expected to be quiet.
    """
    usual = choose_scales(values.reshape(1, -1))
    candidates = jnp.maximum(usual - jnp.arange(0, 16, 3, dtype=jnp.int32), 0)

    def bits(scale: jax.Array) -> jax.Array:
        return _estimate_bits(values, _choose_rows(values, jnp.broadcast_to(scale, len(values))))

    return candidates[jnp.argmin(lax.map(bits, candidates))]


def capacity(n_blocks: int, n_dims: int) -> int:
    """16-bit words that any stream of so many blocks fits in."""
    return rans.WORDS_PER_INTEGER * n_blocks * n_dims + 2 * max_lanes_for(n_blocks)


def encode(
    values: jax.Array, scales: jax.Array, count: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Code integers.

    Args:
        values: int32 (dims, n), the integers of n blocks; magnitudes up to ``entropy.MAX_MAGNITUDE``.
        scales: int32 (dims,), from ``choose_scales``, or any below N_SCALES.
        count: int32, how many of the blocks to code, from the first; all if it is missing.

    Returns:
        uint16 (capacity,) words, int32, how many are in use, and int32, in how many lanes.
    """
    n_dims, n_blocks = values.shape
    count = jnp.int32(n_blocks) if count is None else count
    rows = _choose_rows(values, scales)
    # Integers that take next to nothing still take their time.
    least = count.astype(jnp.float32) * (n_dims * _BITS_PER_LANE / _MAX_STEPS)
    bits = jnp.maximum(_estimate_bits(values, rows), least)
    n_lanes = lanes_for(bits, _BITS_PER_LANE, n_blocks)
    runs = share_out(count, n_lanes, max_lanes_for(n_blocks))
    tables = _tables()
    n_steps = runs.length * n_dims

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = n_steps - 1 - backwards
        block, active = runs.at(step // n_dims)
        place, index = step % n_dims, jnp.minimum(block, n_blocks - 1)
        return rans.push(coder, tables, rows[place, index], values[place, index], active)

    coder = rans.start_encoding(len(runs.starts), capacity(n_blocks, n_dims))
    coder = lax.fori_loop(0, n_steps, push, batching.varying_like(values, coder))
    return *rans.finish_encoding(coder, n_lanes), n_lanes


def decode(
    words: jax.Array,
    used: jax.Array,
    n_lanes: jax.Array,
    scales: jax.Array,
    n_blocks: int,
    count: jax.Array | None = None,
) -> jax.Array:
    """Decode integers, int32 (dims, n_blocks): the inverse of ``encode``; zeros beyond ``count``."""
    n_dims = len(scales)
    count = jnp.int32(n_blocks) if count is None else count
    runs = share_out(count, n_lanes, max_lanes_for(n_blocks))
    tables = _tables()
    start, thresholds = _expect(scales)

    def pop(step: jax.Array, state: tuple) -> tuple:
        coder, values, total = state
        block, active = runs.at(step // n_dims)
        place = step % n_dims
        total = jnp.where(place == 0, start, total)
        coder, value = rans.pop(coder, tables, _row(total, scales[place], thresholds[place]), active)
        values = values.at[place, jnp.where(active, block, n_blocks)].set(value, mode="drop")
        return coder, values, _add(total, value)

    coder = rans.start_decoding(words, used, n_lanes, len(runs.starts))
    empty = (jnp.zeros((n_dims, n_blocks), jnp.int32), jnp.zeros(len(runs.starts), jnp.uint32))
    state = (coder, *batching.varying_like(words, empty))
    return lax.fori_loop(0, runs.length * n_dims, pop, state)[1]
