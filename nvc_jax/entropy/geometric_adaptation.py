"""Adaptation of the adaptive geometric coder: the table of each integer, by the magnitudes before it.

Here the encoder also chooses scales, and estimates the bits that integers will take.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.entropy import native_geometric
from nvc_jax.entropy.geometric_distributions import DECAYS, MEANS, N_SCALES, powers_of_cube_root
from nvc_jax.entropy.native_geometric import BLOCKS_OF_SUM
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
_BIT_UNITS = 1024
"""Units of a bit in estimates, which are sums of integers: so kernels and ``jax.numpy`` agree."""
_MAX_UNITS = 36 * _BIT_UNITS
"""Most units of an integer in estimates: about those of an escape."""
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


def choose_scales(values: jax.Array) -> jax.Array:
    """Choose the scale of each dimension by the mean magnitude of its integers.

    Args:
        values: int32 (dims, n).

    Returns:
        int32 (dims,).
    """
    return _scales_of(jnp.mean(jnp.abs(values).astype(jnp.float32), axis=1))


def _scales_of(means: jax.Array) -> jax.Array:
    """Find the scales of mean magnitudes, float32 (n,)."""
    return jnp.sum(means[:, None] >= _scale_borders()[None], axis=1, dtype=jnp.int32)


def _scale_borders() -> jax.Array:
    """Get the mean magnitudes between scales, float32 (N_SCALES − 1,)."""
    return jnp.asarray(np.sqrt(MEANS[1:] * MEANS[:-1]), jnp.float32)


def choose_common_scale(values: jax.Array, count: jax.Array) -> jax.Array:
    """Choose the one scale for all dimensions that takes the fewest bits, as estimated.

    Where a few blocks hold nearly all the energy, a scale below that of the mean magnitude is cheaper: it
    suits the blocks of low energy, and the others shift it up.

    Args:
        values: int32 (dims, n), zero from block ``count`` on.
        count: int32, number of blocks that count, from the first.

    Returns:
        int32 scalar.
    """
    scale: jax.Array = on_cpu(_choose_by_kernel, choose_common_scale_reference, values, count)
    return scale


def _choose_by_kernel(values: jax.Array, count: jax.Array) -> jax.Array:
    """Choose the scale by the native kernel; sums of float32 apart, it equals the reference."""
    offsets = jnp.array(_COMMON_SCALE_OFFSETS, jnp.int32)
    return native_geometric.choose_common_scale(
        *(values, count, _scale_borders(), offsets, *_adaptation_constants(), *_units_of_integers())
    )


def choose_common_scale_reference(values: jax.Array, count: jax.Array) -> jax.Array:
    """Choose the scale in ``jax.numpy``: the specification of the kernel; see ``choose_common_scale``."""
    total = jnp.sum(jnp.abs(values).astype(jnp.float32))
    usual = _scales_of(total[None] / jnp.maximum(count * len(values), 1).astype(jnp.float32))
    candidates = jnp.maximum(usual - jnp.array(_COMMON_SCALE_OFFSETS, jnp.int32), 0)

    def bits(scale: jax.Array) -> jax.Array:
        return estimate_bits(values, jnp.broadcast_to(scale, len(values)), count)

    return candidates[jnp.argmin(lax.map(bits, candidates))]


def tables_from(values: jax.Array, scales: jax.Array, start: jax.Array, thresholds: jax.Array) -> jax.Array:
    """Find the table by which each integer is coded: the index of a distribution, int32 (dims, n).

    Args:
        values: int32 (dims, n).
        scales: int32 (dims,).
        start: uint32, from ``start_and_thresholds``.
        thresholds: uint32 (dims, shifts), likewise.
    """

    def choose(total: jax.Array, inputs: tuple) -> tuple[jax.Array, jax.Array]:
        value, scale, threshold = inputs
        return add_magnitudes(total, value), shifted_scale(total, scale, threshold)

    totals = jnp.zeros_like(values[0]).astype(jnp.uint32) + start
    return lax.scan(choose, totals, (values, scales, thresholds))[1]


def start_and_thresholds(scales: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute the sum that every block begins with, and the thresholds of the later sums.

    Returns:
        uint32, the initial sum in units; and uint32 (dims, shifts), for each dimension and shift the smallest
        sum that shifts the scale at least so far.
    """
    arguments = (scales, *_adaptation_constants())
    return on_cpu(native_geometric.start_and_thresholds, start_and_thresholds_reference, *arguments)


def _adaptation_constants() -> tuple[jax.Array, jax.Array]:
    """Get the units that are expected of each scale, and the ratios of thresholds to them."""
    return jnp.asarray(EXPECTED_UNITS), jnp.asarray(SHIFT_RATIOS)


def start_and_thresholds_reference(
    scales: jax.Array, units: jax.Array, ratios: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Compute sums and thresholds in ``jax.numpy``: the specification of the kernel.

    Args:
        scales: int32 (dims,).
        units: ``EXPECTED_UNITS``.
        ratios: ``SHIFT_RATIOS``.
    """
    expected = units[scales]
    start = jnp.sum(expected, dtype=jnp.uint32) >> jnp.uint32(_START_SHARE_BITS)
    start = jnp.clip(start, _MIN_START, _MAX_SUM)
    expected_before = jnp.cumsum(expected, dtype=jnp.uint32) - expected
    expected_before = jnp.minimum(expected_before + start, _MAX_SUM)[:, None]

    # The product of sum and ratio in two parts, so that each fits in 32 bits.
    ratios, fraction_bits = ratios[None], jnp.uint32(_RATIO_BITS)
    low = (expected_before & jnp.uint32((1 << _RATIO_BITS) - 1)) * ratios >> fraction_bits
    return start, (expected_before >> fraction_bits) * ratios + low


def shifted_scale(total: jax.Array, scale: jax.Array, thresholds: jax.Array) -> jax.Array:
    """Shift a dimension's scale by the sums of magnitudes so far, ``total``: int32 of its shape."""
    n_reached = jnp.sum(total[:, None] >= thresholds[None], axis=1, dtype=jnp.int32)
    return jnp.clip(scale.astype(jnp.int32) + n_reached + (int(_SHIFTS[0]) - 1), 0, N_SCALES - 1)


def add_magnitudes(total: jax.Array, values: jax.Array) -> jax.Array:
    """Add magnitudes to sums in units, uint32, without overflow."""
    magnitudes = jnp.minimum(jnp.abs(values), _MAX_SUM // _SUM_UNITS).astype(jnp.uint32)
    return jnp.minimum(total + magnitudes * jnp.uint32(_SUM_UNITS), _MAX_SUM)


def estimate_bits(values: jax.Array, scales: jax.Array, count: jax.Array) -> jax.Array:
    """Estimate the bits of the first ``count`` blocks by the tables that they are coded by; float32."""
    arguments = (values, scales, *start_and_thresholds(scales), *_units_of_integers(), count)
    sums = on_cpu(native_geometric.estimate_bits, estimate_reference, *arguments)
    return jnp.sum(sums.astype(jnp.float32)) / _BIT_UNITS


def _units_of_integers() -> tuple[jax.Array, jax.Array]:
    """Get the units of a zero, int32 (N_SCALES,), and of each step of the magnitude, float32 likewise."""
    zero = jnp.asarray(np.rint(-np.log2((1 - DECAYS) / (1 + DECAYS)) * _BIT_UNITS), jnp.int32)
    return zero, jnp.asarray(-np.log2(DECAYS) * _BIT_UNITS, jnp.float32)


def estimate_reference(
    values: jax.Array,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    zero: jax.Array,
    further: jax.Array,
    count: jax.Array,
) -> jax.Array:
    """Estimate bits in ``jax.numpy``: the specification of the kernel.

    Args:
        values: int32 (dims, n).
        scales: int32 (dims,).
        start: uint32, from ``start_and_thresholds``, as is the next argument.
        thresholds: uint32 (dims, shifts).
        zero: int32 (N_SCALES,), units of a zero, which are 1/1024 bit.
        further: float32 (N_SCALES,), units of each step of the magnitude.
        count: int32, number of blocks that count, from the first.

    Returns:
        int32 (dims, ⌈n / BLOCKS_OF_SUM⌉), units of as many blocks each: so that sums stay in 32 bits.
    """
    tables = tables_from(values, scales, start, thresholds)
    steps = jnp.round(further[tables] * jnp.abs(values).astype(jnp.float32))
    units = jnp.minimum(zero[tables] + jnp.minimum(steps, _MAX_UNITS).astype(jnp.int32), _MAX_UNITS)
    units = jnp.where(jnp.arange(values.shape[1])[None] < count, units, 0)
    padded = jnp.pad(units, ((0, 0), (0, -units.shape[1] % BLOCKS_OF_SUM)))
    return jnp.sum(padded.reshape(len(units), -1, BLOCKS_OF_SUM), axis=2, dtype=jnp.int32)
