"""Native kernels between float32 values and fixed point; ``values`` has their specification."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nvc_jax.core.slabs import slabs
from nvc_jax.native.host_kernels import host_kernel

_LARGEST_FIXED = 2.0**31


@functools.cache
def _kernel(name: str, result: type | None = None) -> Callable[..., Any] | None:
    return host_kernel(name, result)


def fix_floats(values: np.ndarray, low: float, spacing: float, fraction_bits: int) -> np.ndarray | None:
    """Turn values, none of which is below ``low``, to fixed point.

    Returns:
        int32, of the values' shape; None where there is no kernel for them.
    """
    kernel = _kernel("nvc_fix_floats") if values.dtype == np.float32 else None
    if kernel is None:
        return None
    fixed = np.empty(values.shape, np.int32)
    kernel(values.size, np.ascontiguousarray(values), low, spacing, fraction_bits, fixed)
    return fixed


def restore_floats(fixed: np.ndarray, low: float, unit: float, dtype: np.dtype) -> np.ndarray | None:
    """Turn numbers in fixed point, int32, to values.

    Args:
        fixed: int32.
        low: origin of the fixed point.
        unit: of the fixed point, in units of the values.
        dtype: of the values.

    Returns:
        The values; None where there is no kernel for them, or some might be beyond the dtype's ends.
    """
    kernel = _kernel("nvc_restore_floats") if dtype == np.float32 else None
    if kernel is None or fixed.dtype != np.int32:
        return None
    if not abs(low) + _LARGEST_FIXED * unit < float(np.finfo(np.float32).max):
        return None
    values = np.empty(fixed.shape, np.float32)
    kernel(fixed.size, np.ascontiguousarray(fixed), float(low), unit, values)
    return values


def largest_difference(values: np.ndarray, others: np.ndarray) -> float | None:
    """Largest absolute difference of finite arrays; None where there is no kernel for them."""
    kernel = _kernel("nvc_largest_difference", ctypes.c_double)
    if kernel is None or not values.dtype == others.dtype == np.float32:
        return None
    parts = ([np.ascontiguousarray(array[slab]) for array in (values, others)] for slab in slabs(values.shape))
    return max((kernel(a.size, a, b) for a, b in parts), default=0.0)
