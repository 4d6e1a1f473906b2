"""Ranges of values by kernels; ``chunks.special_values`` has the specification of that of valid ones."""

import ctypes

import numpy as np

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


def range_of_valid(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Smallest and largest valid value.

    Args:
        values: float32.
        valid: bool, of the same shape; at least one value is valid, and none of those is NaN.
    """
    limits = np.empty(2, np.float32)
    call_on_host("nvc_valid_range", values.size, *map(np.ascontiguousarray, (values, valid)), limits)
    low, high = limits.tolist()
    return low + 0.0, high + 0.0  # of the two zeros, 0
