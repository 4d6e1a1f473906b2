"""Smooth filling of gaps by a kernel; ``core.filling`` has its specification."""

import ctypes

import numpy as np

from nvc_jax.core import filling
from nvc_jax.native.host_kernels import call_on_host, serves


def fill_smoothly(
    values: np.ndarray, valid: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``filling.fill_smoothly``, and the same clipped to limits; the kernel fills float32.

    Args:
        values: float (z, y, x).
        valid: bool, of the same shape.
        low: least value of the second array, and no more than any valid value.
        high: its largest value, and no less than any valid value.

    Returns:
        The two arrays, which may be one.
    """
    if valid.all():
        return values, values
    if not serves(values.dtype) or not valid.any():
        smooth = filling.fill_smoothly(values, valid)
        return smooth, np.where(valid, values, smooth.clip(low, high))
    smooth, within = np.empty(values.shape, np.float32), np.empty(values.shape, np.float32)
    arrays = np.ascontiguousarray(values), np.ascontiguousarray(valid)
    limits = float(low), float(high)
    name = "nvc_fill_smoothly"
    is_beyond = call_on_host(name, *values.shape, *arrays, *limits, smooth, within, result=ctypes.c_int64)
    return smooth, within if is_beyond else smooth
