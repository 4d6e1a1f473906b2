"""Counts of values at both ends of a range, by a kernel; ``chunks.value_range`` has its specification."""

import ctypes
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.native.host_kernels import call_on_host

N_ENDS = 3
"""Distinct values that are counted at either end."""
Counts = dict[float, int]
"""Values, and how often they occur."""
_N_AXES = 3
"""Axes of the arrays that the kernel takes as they lie in memory."""


class CountedValues(NamedTuple):
    """Results of one pass over values.

    Attributes:
        lowest: counts at the low end, at most N_ENDS, rising.
        highest: the same at the high end, falling.
        checksum: CRC-32 of the bytes of all values, in C order; it has no meaning if nobody asked for it.
    """

    lowest: Counts
    highest: Counts
    checksum: int


def count_values(
    values: np.ndarray,
    lowest: Counts,
    highest: Counts,
    missing_values: Sequence[float] = (),
    valid_limits: Limits = NO_LIMITS,
    *,
    has_checksum: bool = False,
) -> CountedValues:
    """Count the N_ENDS last distinct values at either end, as far as there are so many.

    Args:
        values: float32, of any shape.
        lowest: counts at the low end of all values before, at most N_ENDS.
        highest: the same at the high end.
        missing_values: finite values that do not count; neither do NaN and infinities.
        valid_limits: values beyond them do not count.
        has_checksum: whether to find the checksum of the values, too.
    """
    values = _as_rows(values)
    ends = (sorted(lowest.items()), sorted(highest.items(), reverse=True))
    numbers = np.array([[math.inf] * N_ENDS, [-math.inf] * N_ENDS], np.float32)
    counts = np.zeros((2, N_ENDS), np.int64)
    for end, known in enumerate(ends):
        for i, (number, count) in enumerate(known):
            numbers[end, i], counts[end, i] = number, count
    sides, strides = np.array(values.shape, np.int64), np.array(values.strides, np.int64) // values.itemsize
    missing, limits = np.array(missing_values, np.float32), np.array(valid_limits, np.float32).tolist()
    rules = (missing.size, missing, *limits)
    place = values.ctypes.data  # the rows need not lie together
    results = (numbers, counts, int(has_checksum))
    checksum = call_on_host(
        "nvc_count_values", place, sides, strides, *rules, *results, result=ctypes.c_int64
    )
    low, high = (
        # Of the two zeros, 0.
        {float(number) + 0.0: int(count) for number, count in zip(*end, strict=True) if math.isfinite(number)}
        for end in zip(numbers, counts, strict=True)
    )
    return CountedValues(low, high, int(checksum))


def _as_rows(values: np.ndarray) -> np.ndarray:
    """View values as an array of three axes with contiguous rows, or copy them if they lie otherwise."""
    if not values.flags.aligned:
        values = values.copy()
    shape = tuple(side for side in values.shape if side != 1)
    rows = values.reshape(shape) if len(shape) <= _N_AXES else np.ascontiguousarray(values)
    if rows.ndim and rows.strides[-1] != rows.itemsize:
        rows = np.ascontiguousarray(rows)
    if rows.flags.c_contiguous:
        return rows.reshape(1, 1, -1)
    if rows.ndim == _N_AXES and rows.strides[0] == rows.shape[1] * rows.strides[1]:
        rows = rows.reshape(-1, rows.shape[-1])
    return rows.reshape((1,) * (_N_AXES - rows.ndim) + rows.shape)
