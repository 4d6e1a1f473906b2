"""Native kernels between float32 values and fixed point; ``values`` has their specification."""

import numpy as np

from nvc_jax.native.host_kernels import call_on_host, has_host_kernels


def serves(dtype: np.dtype) -> bool:
    """Tell whether there are kernels for values of a dtype."""
    return dtype == np.float32 and has_host_kernels()


def fix_floats(values: np.ndarray, low: float, spacing: float, fraction_bits: int) -> np.ndarray:
    """Turn float32 values to fixed point, int32; no value is below ``low``."""
    values, fixed = np.ascontiguousarray(values), np.empty(values.shape, np.int32)
    call_on_host("nvc_fix_floats", values.size, values, low, spacing, fraction_bits, fixed)
    return fixed


def restore_floats(fixed: np.ndarray, low: float, unit: float) -> np.ndarray:
    """Turn numbers in fixed point to float32 values.

    Args:
        fixed: int32.
        low: origin of the fixed point.
        unit: of the fixed point, in units of the values.
    """
    fixed, values = np.ascontiguousarray(fixed, np.int32), np.empty(fixed.shape, np.float32)
    call_on_host("nvc_restore_floats", fixed.size, fixed, low, unit, values)
    return values
