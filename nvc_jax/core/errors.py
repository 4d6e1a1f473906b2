"""Measures of the difference between original and decoded values: squared error, PSNR, largest error.

The whole package measures errors with these functions. All arithmetic is in float64, but differences of
int64 and of uint64 are taken in integers. An overflow gives an infinite error, a decoded NaN gives a NaN;
neither warns.
"""

import math
from collections.abc import Iterable

import numpy as np

from nvc_jax.core.dtypes import is_long_integer
from nvc_jax.core.long_integers import absolute_differences
from nvc_jax.core.slabs import slabs


def squared_errors(
    original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, int]:
    """Sum the squared differences of two arrays.

    Args:
        original: any shape with an axis or more, any real dtype.
        decoded: same shape.
        mask: same shape, true for the values to compare; None for all of them.

    Returns:
        The sum, in squared units of the data, and the number of values. Several such pairs are the parts that
        `psnr_from_errors` takes.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = 0.0
        for slab in slabs(original.shape):
            errors = _differences(original[slab], decoded[slab])
            counted = errors.reshape(-1) if mask is None else errors[mask[slab]]
            total += float(np.einsum("i,i", counted, counted))  # on one thread, as @ is not
        return total, original.size if mask is None else int(np.count_nonzero(mask))


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
    with np.errstate(invalid="ignore", over="ignore"):
        largest = 0.0
        for slab in slabs(original.shape):
            errors = _differences(original[slab], decoded[slab])
            counted = errors if mask is None else errors[mask[slab]]
            largest = np.maximum(largest, np.maximum(counted.max(initial=0.0), -counted.min(initial=0.0)))
        return float(largest) + 0.0  # not −0


def _differences(original: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Differences of two arrays, float64; of int64 and uint64 their magnitudes, rounded up."""
    if original.dtype != decoded.dtype or not is_long_integer(original.dtype):
        return np.subtract(original, decoded, dtype=np.float64)
    return absolute_differences(original, decoded)
