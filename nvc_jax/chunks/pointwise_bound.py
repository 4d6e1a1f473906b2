"""Pointwise bounds: an error of at most a share of each value's own magnitude, |x − x'| ≤ E·|x|.

What a bound accepts is never more than what it says: integers are compared exactly, floats with a reserve for
the roundings of the comparison.
"""

import math
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.slabs import slabs

_COMPARISON = 1 - 2.0**-50
"""Share of a bound that floats may take: the comparison rounds three times."""
_ROUNDED_SHARE = (1 - 2.0**-20) / 2
"""Share of the distance between two values of a dtype within which a number is rounded to the first."""
_TINY, _SCALE = 2.0**-900, 2.0**120
"""Magnitude below which float64 values are scaled, so that no product is subnormal, and their factor."""
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class LogarithmIntervals(NamedTuple):
    """Logarithms in fixed point that a bound accepts.

    Attributes:
        centres: float64, of the intervals; those of 0 are of no use.
        half_widths: float64, of the intervals, in units of the fixed point.
    """

    centres: np.ndarray
    half_widths: np.ndarray


class PointwiseBound:
    """A pointwise bound.

    Args:
        pointwise_error: E, above 0 and below 1.
    """

    def __init__(self, pointwise_error: float) -> None:
        self._error = pointwise_error

    @property
    def half_width(self) -> float:
        """Half the width of the interval of binary logarithms that the bound accepts."""
        return math.atanh(self._error) / math.log(2)

    def is_kept(self, values: np.ndarray, decoded: np.ndarray) -> np.ndarray:
        """Mark the values that keep the bound: bool.

        Args:
            values: the original, finite.
            decoded: same shape and dtype.
        """
        if not is_float(values.dtype):
            return _integer_distances(values, decoded) <= self._integer_errors(values)
        exact = np.abs(values.astype(np.float64))
        scale = np.where(exact < _TINY, _SCALE, 1.0) if values.dtype == np.float64 else 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.abs(values.astype(np.float64) - decoded.astype(np.float64)) * scale
            return errors <= exact * scale * (self._error * _COMPARISON)

    def _integer_errors(self, values: np.ndarray) -> np.ndarray:
        """Largest error of each integer, uint64: E·|x|, exactly, rounded down."""
        return floor_products(_integer_magnitudes(values), self._error)

    def intervals(self, values: np.ndarray, fraction_bits: int) -> LogarithmIntervals:
        """Find the numbers that are rounded to values within the bound, as logarithms in fixed point."""
        result = LogarithmIntervals(np.empty(values.shape), np.empty(values.shape))
        find = self._float_intervals if is_float(values.dtype) else self._integer_intervals
        for slab in slabs(values.shape):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                low, high = (np.log2(end) * (1 << fraction_bits) for end in find(values[slab]))
                result.centres[slab] = (low + high) / 2
                result.half_widths[slab] = (high - low) / 2
        return result

    def _integer_intervals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        magnitudes = _integer_magnitudes(values).astype(np.float64)
        reach = self._integer_errors(values).astype(np.float64) + _ROUNDED_SHARE
        return magnitudes - reach, magnitudes + reach

    def _float_intervals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        magnitudes = np.abs(values)
        exact = magnitudes.astype(np.float64)
        ends = []
        for factor, outward in ((1 - self._error, 0.0), (1 + self._error, np.inf)):
            end = round_to_dtype(exact * factor, values.dtype)
            end = np.where(self.is_kept(magnitudes, end), end, np.nextafter(end, magnitudes))
            beyond = np.nextafter(end, values.dtype.type(outward)).astype(np.float64)
            inside = end.astype(np.float64)
            ends.append(inside + np.where(np.isfinite(beyond), beyond - inside, 0.0) * _ROUNDED_SHARE)
        return ends[0], ends[1]


def _integer_magnitudes(values: np.ndarray) -> np.ndarray:
    """Magnitudes of integers, uint64."""
    wrapped = (
        values.astype(np.uint64) if values.dtype.kind == "u" else values.astype(np.int64).view(np.uint64)
    )
    return np.where(values < 0, np.uint64(0) - wrapped, wrapped)


def _integer_distances(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Absolute differences of integers of one dtype, uint64."""
    wide = values.dtype if is_long_integer(values.dtype) else np.dtype(np.int64)
    a, b = values.astype(wide), others.astype(wide)
    return np.maximum(a, b).view(np.uint64) - np.minimum(a, b).view(np.uint64)


def floor_products(integers: np.ndarray, share: float) -> np.ndarray:
    """Products of integers and a share, rounded down exactly: uint64.

    Args:
        integers: uint64.
        share: above 0 and below 1.
    """
    mantissa, exponent = math.frexp(share)
    factor, shift = int(math.ldexp(mantissa, 53)), 53 - exponent  # share = factor / 2**shift
    low, high = integers & _MASK, integers >> _HALF
    factor_low, factor_high = np.uint64(factor) & _MASK, np.uint64(factor >> 32)
    bottom = low * factor_low
    across = low * factor_high + (bottom >> _HALF)
    middle = high * factor_low + (across & _MASK)
    upper = high * factor_high + (across >> _HALF) + (middle >> _HALF)
    lower = (middle << _HALF) | (bottom & _MASK)
    if shift >= 128:
        return np.zeros_like(integers)
    if shift >= 64:
        return upper >> np.uint64(shift - 64)
    return (upper << np.uint64(64 - shift)) | (lower >> np.uint64(shift))
