"""Measures of the difference between original and decoded values: squared error, PSNR, largest errors.

The whole package measures errors with these functions. All arithmetic is in float64, but differences of
int64 and of uint64 are taken in integers. An overflow gives an infinite error, a decoded NaN gives a NaN;
neither warns.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from nvc_jax.core.dtypes import is_long_integer
from nvc_jax.core.long_integers import absolute_differences
from nvc_jax.core.slabs import slabs

_QUOTIENT_ERROR = 2.0**-50
"""Share of a quotient of differences and values that float64's roundings do not exceed."""
_LARGEST_SQUARED = 1e100
"""Numbers up to here, and down to their inverse, have squares that float64 holds, and sums of such."""


def error_unit(scale: float) -> float:
    """Unit in which errors of about ``scale`` have squares that float64 holds; mostly 1."""
    is_extreme = 0 < scale < math.inf and not 1 / _LARGEST_SQUARED < scale < _LARGEST_SQUARED
    return scale if is_extreme else 1.0


def squared_errors(
    original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None = None, unit: float = 1.0
) -> tuple[float, int]:
    """Sum the squared differences of two arrays.

    Args:
        original: any shape with an axis or more, any real dtype.
        decoded: same shape.
        mask: same shape, true for the values to compare; None for all of them.
        unit: of the errors, in units of the data; see ``error_unit``.

    Returns:
        The sum, in squared units, and the number of values. Several such pairs are the parts that
        `psnr_from_errors` takes.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = sum((_sum_of_squares(errors, unit) for errors in _slabs_of(original, decoded, mask)), 0.0)
    return total, original.size if mask is None else int(np.count_nonzero(mask))


def largest_and_squared_errors(
    original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None = None, unit: float = 1.0
) -> tuple[float, tuple[float, int]]:
    """Return ``largest_error`` and ``squared_errors`` of two arrays, which are read once."""
    largest, total, count = 0.0, 0.0, 0
    with np.errstate(invalid="ignore", over="ignore"):
        for errors in _slabs_of(original, decoded, mask):
            largest = _larger(largest, errors)
            total += _sum_of_squares(errors, unit)
            count += errors.size
    return abs(largest), (total, count)


def psnr_from_errors(value_range: float, parts: Iterable[tuple[float, int]]) -> float:
    """Peak signal-to-noise ratio in dB: 20·log10(value range) − 10·log10(mean squared error).

    Args:
        value_range: peak value, max − min of the original.
        parts: results of `squared_errors` on the parts of a volume; at least one.

    Returns:
        The ratio; inf where the mean squared error is 0, −inf where only the value range is 0.
    """
    total, count = map(sum, zip(*parts, strict=True))
    if total == 0 or total / count == 0:
        return math.inf
    if value_range == 0:
        return -math.inf
    return 20 * math.log10(value_range) - 10 * math.log10(total / count)


def largest_error(original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Largest absolute difference of two arrays.

    Args:
        original: any shape with an axis or more, any real dtype.
        decoded: same shape.
        mask: same shape, true for the values to compare; None for all of them.

    Returns:
        The difference in units of the data; 0 where there is nothing to compare. One of int64 or uint64 that
        float64 does not hold is rounded up, so that a bound that it breaks stays broken.
    """
    largest = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for errors in _slabs_of(original, decoded, mask):
            largest = _larger(largest, errors)
    return abs(largest)  # not −0


def largest_pointwise_error(
    original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Largest ratio of the absolute difference to the magnitude of the original value.

    Args:
        original: any shape with an axis or more, any real dtype.
        decoded: same shape and dtype.
        mask: same shape, true for the values to compare; None for all of them.

    Returns:
        The exact ratio, rounded up to a float64, so that it is at most a bound if and only if the bound is
        kept. 0 where values are equal, infinite where 0 becomes another value, NaN where a value becomes NaN.
    """
    largest = 0.0
    for slab in slabs(original.shape):
        values, others = original[slab], decoded[slab]
        if mask is not None:
            values, others = values[mask[slab]], others[mask[slab]]
        largest = float(np.maximum(largest, _largest_ratio(values, others)))
    return largest


def _largest_ratio(original: np.ndarray, decoded: np.ndarray) -> float:
    """Largest pointwise error of a few values: those that may have it are compared as fractions."""
    differ = original != decoded
    if not differ.any():
        return 0.0
    original, decoded = original[differ], decoded[differ]
    with np.errstate(all="ignore"):
        ratios = np.abs(_differences(original, decoded)) / np.abs(original.astype(np.float64))
    largest = float(ratios.max())
    if not math.isfinite(largest):
        return largest
    may_be_largest = ratios >= largest * (1 - _QUOTIENT_ERROR)
    exact_dtype = original.dtype if is_long_integer(original.dtype) else np.float64
    originals, others = (part[may_be_largest].astype(exact_dtype) for part in (original, decoded))
    pairs = set(zip(originals.tolist(), others.tolist(), strict=True))
    exact = max(abs(Fraction(x) - Fraction(y)) / abs(Fraction(x)) for x, y in pairs)
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def _slabs_of(original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the differences of two arrays slab by slab, flat float64, where a mask is true."""
    for slab in slabs(original.shape):
        errors = _differences(original[slab], decoded[slab])
        yield errors.reshape(-1) if mask is None else errors[mask[slab]]


def _larger(largest: float, errors: np.ndarray) -> float:
    """Return the largest of a magnitude and those of errors; NaN if one is."""
    return float(np.maximum(largest, np.maximum(errors.max(initial=0.0), -errors.min(initial=0.0))))


def _sum_of_squares(errors: np.ndarray, unit: float) -> float:
    """Sum the squares of errors, in squared units."""
    scaled = errors if unit == 1 else errors / unit
    return float(np.einsum("i,i", scaled, scaled))  # on one thread, as @ is not


def _differences(original: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Differences of two arrays, float64; of int64 and uint64 their magnitudes, rounded up."""
    if original.dtype != decoded.dtype or not is_long_integer(original.dtype):
        return np.subtract(original, decoded, dtype=np.float64)
    return absolute_differences(original, decoded)
