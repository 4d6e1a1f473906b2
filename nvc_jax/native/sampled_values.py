"""Values at some places of float32 volumes by kernels; ``chunks.sampled_values`` has their specifications."""

import ctypes

import numpy as np

from nvc_jax.native.host_kernels import call_on_host


def count_different(values: np.ndarray, valid: np.ndarray, places: np.ndarray, most: int) -> int:
    """Count the different bit patterns of the valid values at some places, but no further than ``most`` + 1.

    Args:
        values: float32.
        valid: bool, of the same shape.
        places: int64 (n,), indices of values.
        most: number beyond which counting ends.
    """
    arrays = np.ascontiguousarray(values), np.ascontiguousarray(valid)
    count = call_on_host("nvc_count_different", *arrays, len(places), places, most, result=ctypes.c_int64)
    return int(count)


def find_peaks(
    values: np.ndarray, valid: np.ndarray, places: np.ndarray, share: float, ratio: float
) -> np.ndarray:
    """Find values that are far more frequent than those next to them.

    Args:
        values: float32.
        valid: bool, of the same shape.
        places: int64 (n,), indices of values.
        share: of the valid values at the places that such a value has at least.
        ratio: of its count to those of the next smaller and larger value, at least.

    Returns:
        uint32 (n,), bit patterns in ascending order of the values.
    """
    arrays = np.ascontiguousarray(values), np.ascontiguousarray(valid)
    patterns = np.empty(int(1 / share) + 1, np.uint32)
    rules = float(share), float(ratio)
    n = call_on_host("nvc_find_peaks", *arrays, len(places), places, *rules, patterns, result=ctypes.c_int64)
    return patterns[:n]
