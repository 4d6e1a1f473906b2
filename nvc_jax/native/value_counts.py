"""Counts of values at both ends of a range, by a kernel; ``chunks.value_range`` has its specification."""

import math

import numpy as np

from nvc_jax.native.host_kernels import call_on_host

N_ENDS = 3
"""Distinct values that are counted at either end."""
Counts = dict[float, int]
"""Values, and how often they occur."""


def count_ends(values: np.ndarray, lowest: Counts, highest: Counts) -> tuple[Counts, Counts]:
    """Count the N_ENDS last distinct values at either end, as far as there are so many.

    Args:
        values: float32 (n,), contiguous and finite.
        lowest: counts at the low end of all values before, at most N_ENDS.
        highest: the same at the high end.
    """
    ends = (sorted(lowest.items()), sorted(highest.items(), reverse=True))
    numbers = np.array([[math.inf] * N_ENDS, [-math.inf] * N_ENDS], np.float32)
    counts = np.zeros((2, N_ENDS), np.int64)
    for end, known in enumerate(ends):
        for i, (number, count) in enumerate(known):
            numbers[end, i], counts[end, i] = number, count
    call_on_host("nvc_count_ends", values.size, values, numbers, counts)
    low, high = (
        # Of the two zeros, 0.
        {float(number) + 0.0: int(count) for number, count in zip(*end, strict=True) if math.isfinite(number)}
        for end in zip(numbers, counts, strict=True)
    )
    return low, high
