"""Values to integers and back: exactly, or by uniform quantisation within a bound.

Everything runs on the host, in integers and in float64 operations that IEEE 754 rounds correctly, so that
every machine decodes the same values.
"""

import math

import numpy as np

from nvc_jax.core.dtypes import integer_limits, is_float, is_long_integer, round_floats
from nvc_jax.core.header_fields import MAX_HALF_SPACING
from nvc_jax.core.long_integers import from_multiples, nearest_multiples

_HALF_OF_UINT64 = np.uint64(1 << 63)
MAX_POINTS = 1 << 52
"""Largest number of quantisation points within a range: float64 tells that many apart."""
_ROUNDING_SPACINGS = 8
"""Spacings of float64 that the arithmetic of quantising and dequantising may be off by: a few operations,
each off by half a spacing at most, with reserve."""


def to_ordered(values: np.ndarray) -> np.ndarray:
    """Map values to int64 in the same order, one integer for each bit pattern; −0 comes before 0.

    Of uint64, 2**63 becomes 0.
    """
    if values.dtype == np.uint64:
        return (values ^ _HALF_OF_UINT64).view(np.int64)
    if not is_float(values.dtype):
        return values.astype(np.int64)
    bits = values.view(f"i{values.dtype.itemsize}").astype(np.int64)
    magnitude = np.int64((1 << (8 * values.dtype.itemsize - 1)) - 1)
    return np.where(bits < 0, bits ^ magnitude, bits)


def from_ordered(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Map integers back to values of ``dtype``: the inverse of ``to_ordered``."""
    if dtype == np.uint64:
        return integers.view(np.uint64) ^ _HALF_OF_UINT64
    if not is_float(dtype):
        return integers.astype(dtype)
    magnitude = np.int64((1 << (8 * dtype.itemsize - 1)) - 1)
    bits = np.where(integers < 0, integers ^ magnitude, integers)
    return bits.astype(f"i{dtype.itemsize}").view(dtype)


def rounding_error(dtype: np.dtype, magnitude: float) -> float:
    """Largest change of a number of at most that magnitude when it is rounded to ``dtype``."""
    if not is_float(dtype):
        return 0.5
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.spacing(dtype.type(magnitude))) / 2


def choose_spacing(dtype: np.dtype, low: float, high: float, max_error: float) -> float | None:
    """Widest spacing of quantisation points that keeps values in [low, high] within ``max_error``.

    Returns:
        The spacing, for integers a whole number; None where the bound is too tight for float64 or ``dtype``.
    """
    if not is_float(dtype):
        half = math.floor(min(max_error, high - low))
        return 2 * (min(half, MAX_HALF_SPACING) if is_long_integer(dtype) else half) + 1
    # float64's and the dtype's rounding come on top of half a spacing.
    magnitude = max(abs(low), abs(high)) + max_error
    arithmetic = _ROUNDING_SPACINGS * math.ulp(magnitude)
    spacing = 2 * (max_error - rounding_error(dtype, magnitude) - arithmetic)
    if not spacing > max_error or not (high - low) / spacing < MAX_POINTS:
        return None
    return spacing


def quantize_uniform(values: np.ndarray, low: float, spacing: float) -> np.ndarray:
    """Number, int64, of the quantisation point next to each value; ``low`` is point 0."""
    if is_long_integer(values.dtype):
        return nearest_multiples(values, int(low), int(spacing))
    if not is_float(values.dtype):
        return (values.astype(np.int64) - int(low) + int(spacing) // 2) // int(spacing)
    return np.rint((values.astype(np.float64) - low) / spacing).astype(np.int64)


def dequantize_uniform(points: np.ndarray, low: float, spacing: float, dtype: np.dtype) -> np.ndarray:
    """Map points to values of ``dtype``: the inverse of ``quantize_uniform`` within half a spacing.

    Args:
        points: int64, of any shape.
        low: value of point 0, in the volume's units.
        spacing: distance of neighbouring points, in the volume's units; above 0.
        dtype: of the volume.

    Returns:
        Values of the same shape; values beyond the dtype's ends become the ends.
    """
    if is_long_integer(dtype):
        return from_multiples(points, 0, int(low), int(spacing), dtype)
    if not is_float(dtype):
        limits = np.iinfo(dtype)
        return np.clip(points * int(spacing) + int(low), limits.min, limits.max).astype(dtype)
    with np.errstate(over="ignore"):
        return round_to_dtype(low + points * spacing, dtype)


def round_to_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round float values to ``dtype``; values beyond its ends become the ends, NaN becomes anything."""
    if is_float(dtype):
        return round_floats(values, dtype)
    low, high = integer_limits(dtype)
    with np.errstate(invalid="ignore"):
        if not is_long_integer(dtype):
            return np.clip(np.rint(values), low, high).astype(dtype)
        # float64 does not hold the largest value: the next number is beyond it.
        within = np.clip(np.rint(values.astype(np.float64)), low, float(np.nextafter(float(high), 0)))
        return np.where(values >= float(high), dtype.type(high), within.astype(dtype))
