"""Frequent values of float32 by kernels; ``chunks.exact_values`` has their specifications."""

import numpy as np

from nvc_jax.native.host_kernels import call_on_host


def count_patterns(bits: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Count the numbers of each bit pattern.

    Args:
        bits: uint32, contiguous.
        patterns: uint32 (n,).

    Returns:
        int64 (n,).
    """
    counts = np.empty(len(patterns), np.int64)
    call_on_host("nvc_count_patterns", bits.size, bits, len(patterns), np.ascontiguousarray(patterns), counts)
    return counts


def sum_jumps(
    values: np.ndarray, valid: np.ndarray, patterns: np.ndarray, distance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the steps at the borders of values of each bit pattern, and those that follow.

    Args:
        values: float32 (z, y, x).
        valid: bool, of the same shape.
        patterns: uint32 (n,), at most 127.
        distance: of the lines in which steps are taken.

    Returns:
        float64 (n,) each.
    """
    at_border, beyond = np.empty((2, len(patterns)))
    arrays = np.ascontiguousarray(values), np.ascontiguousarray(valid)
    rules = len(patterns), np.ascontiguousarray(patterns), distance
    call_on_host("nvc_sum_jumps", *values.shape, *arrays, *rules, at_border, beyond)
    return at_border, beyond
