"""Valid values and ranges by kernels, whose specifications are in ``core.valid_values`` and ``chunks``."""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.core.aligned_arrays import empty_aligned
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.native.host_kernels import call_on_host, serves


def is_within(values: np.ndarray, low: float | np.generic, high: float | np.generic) -> bool:
    """Tell whether all values, of which there is at least one, are within a range; NaN is not.

    Args:
        values: of any dtype.
        low: smallest value of the range, of that dtype.
        high: the largest.
    """
    if serves(values.dtype) and values.flags.c_contiguous:
        limits = (float(low), float(high))
        return bool(call_on_host("nvc_is_within", values.size, values, *limits, result=ctypes.c_int64))
    return bool(low <= values.min() and values.max() <= high)


class ValidValues(NamedTuple):
    """Valid values of an array.

    Attributes:
        valid: bool, of the array's shape.
        low, high: the smallest and the largest of them; (0, 0) where there is none.
        n_valid: their number.
    """

    valid: np.ndarray
    low: float
    high: float
    n_valid: int


def mark_valid(
    values: np.ndarray, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
) -> ValidValues:
    """Mark the values that are finite, not missing and within the limits, and find their range.

    Args:
        values: float32.
        missing_values: that do not count.
        valid_limits: values beyond them do not count.
    """
    valid, limits = empty_aligned(values.shape, np.bool_), np.empty(2, np.float32)
    with np.errstate(over="ignore"):
        missing, (low, high) = np.array(missing_values, np.float32), np.array(valid_limits, np.float32)
    rules = (missing.size, missing, float(low), float(high))
    arguments = (values.size, np.ascontiguousarray(values), *rules, valid, limits)
    n_valid = int(call_on_host("nvc_mark_valid", *arguments, result=ctypes.c_int64))
    return ValidValues(valid, *(_add_zero(limits) if n_valid else (0.0, 0.0)), n_valid)


def range_of_valid(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Smallest and largest valid value.

    Args:
        values: float32.
        valid: bool, of the same shape; at least one value is valid, and none of those is NaN.
    """
    limits = np.empty(2, np.float32)
    call_on_host("nvc_valid_range", values.size, *map(np.ascontiguousarray, (values, valid)), limits)
    return _add_zero(limits)


def _add_zero(limits: np.ndarray) -> tuple[float, float]:
    """Make floats of two limits; of the two zeros, 0."""
    low, high = limits.tolist()
    return low + 0.0, high + 0.0
