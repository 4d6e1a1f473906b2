"""Exact arithmetic on int64 and uint64, not all values of which float64 holds.

Values are handled as offsets from the smallest one. The offsets of a chunk are in uint64's reach, whatever
its range: the subtraction wraps around to them.
"""

import numpy as np

from nvc_jax.core.dtypes import integer_limits

_MODULUS = 1 << 64
_BELOW_END = float(np.nextafter(2.0**64, 0))
"""Largest float64 that uint64 holds."""


def offsets_from(values: np.ndarray, low: int) -> np.ndarray:
    """Offsets, uint64, of values of int64 or uint64 from one that is no larger."""
    return np.ascontiguousarray(values).view(np.uint64) - np.uint64(low % _MODULUS)


def nearest_multiples(values: np.ndarray, low: int, spacing: int) -> np.ndarray:
    """Number, int64, of the multiple of an odd spacing next to each value's offset from ``low``."""
    whole, rest = np.divmod(offsets_from(values, low), np.uint64(spacing))
    return (whole + (rest > np.uint64(spacing // 2))).astype(np.int64)


def fixed_point(values: np.ndarray, low: int, spacing: int, fraction_bits: int) -> np.ndarray:
    """Offsets of values from ``low`` in spacings, int64 with fraction bits, rounded down."""
    whole, rest = np.divmod(offsets_from(values, low), np.uint64(spacing))
    bits = np.uint64(fraction_bits)
    return ((whole << bits) + (rest << bits) // np.uint64(spacing)).astype(np.int64)


def from_multiples(
    multiples: np.ndarray, rests: np.ndarray | int, low: int, spacing: int, dtype: np.dtype
) -> np.ndarray:
    """Compute ``low + multiples · spacing + rests``; values beyond the dtype's ends become the ends.

    Args:
        multiples: int64, of any shape.
        rests: int64 of the same shape, or one number; from 0 to ``spacing``.
        low: a value of the dtype.
        spacing: above 0, below 2**63.
        dtype: int64 or uint64.
    """
    smallest, largest = integer_limits(dtype)
    top, bottom = (largest - low) // spacing, -((low - smallest) // spacing)
    above_top, above_bottom = (largest - low) % spacing, (low - smallest) % spacing
    int64 = np.iinfo(np.int64)

    # Multiples beyond these limits are beyond the dtype's ends, whatever the rest.
    is_above = (multiples > min(top, int64.max)) | ((multiples == top) & (rests > above_top))
    before_bottom = (multiples == bottom - 1) & (spacing - rests > above_bottom)
    is_below = (multiples < max(bottom - 1, int64.min)) | before_bottom
    with np.errstate(over="ignore"):
        products = multiples.astype(np.uint64) * np.uint64(spacing)
        wrapped = products + np.asarray(rests).astype(np.uint64) + np.uint64(low % _MODULUS)
    values = wrapped.view(dtype)
    return np.where(is_above, dtype.type(largest), np.where(is_below, dtype.type(smallest), values))


def add_offsets(offsets: np.ndarray, low: int, dtype: np.dtype) -> np.ndarray:
    """Add ``low`` to offsets, int64; values beyond the dtype's ends become the ends."""
    return from_multiples(offsets, 0, low, 1, dtype)


def absolute_differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Absolute differences of two arrays of int64 or uint64, float64; what it does not hold is rounded up."""
    larger, smaller = np.maximum(first, second), np.minimum(first, second)
    exact = larger.view(np.uint64) - smaller.view(np.uint64)
    rounded = exact.astype(np.float64)
    if exact.max(initial=0) <= 1 << 53:
        return rounded
    is_below = (rounded <= _BELOW_END) & (np.minimum(rounded, _BELOW_END).astype(np.uint64) < exact)
    return np.where(is_below, np.nextafter(rounded, np.inf), rounded)


def from_means(means: np.ndarray, low: int, dtype: np.dtype) -> np.ndarray:
    """Round means of offsets from ``low``, float64, and add ``low``."""
    widest = np.uint64(integer_limits(dtype)[1] - low)
    rounded = np.rint(means)
    offsets = np.minimum(np.minimum(rounded, _BELOW_END).astype(np.uint64), widest)
    offsets = np.where(rounded > _BELOW_END, widest, offsets)
    return (offsets + np.uint64(low % _MODULUS)).view(dtype)
