"""Range of valid values by a kernel; ``chunks.special_values`` has its specification."""

import numpy as np

from nvc_jax.native.host_kernels import call_on_host


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
