"""Counts of values at both ends of a range, of float32 by a kernel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.native.host_kernels import call_on_host, has_host_kernels

N_ENDS = 3
"""Distinct values that are counted at either end."""


class EndCounts(NamedTuple):
    """Counts of values at one end of a range.

    Attributes:
        each: values that equal each of the numbers given.
        all: values at the last of them or beyond.
    """

    each: tuple[int, ...]
    all: int


def count_ends(
    values: np.ndarray, lowest: Sequence[float], highest: Sequence[float]
) -> tuple[EndCounts, EndCounts]:
    """Count values at both ends of a range.

    Args:
        values: contiguous, (n,), none of them NaN.
        lowest: N_ENDS numbers of the values' dtype, rising from the smallest.
        highest: N_ENDS numbers, falling from the largest.
    """
    if values.dtype == np.float32 and has_host_kernels():
        ends, counts = np.array([*lowest, *highest], np.float32), np.empty(2 * N_ENDS + 2, np.int64)
        call_on_host("nvc_count_ends", values.size, values, ends, counts)
        each = tuple(map(int, counts))
        return EndCounts(each[:N_ENDS], each[-2]), EndCounts(each[N_ENDS : 2 * N_ENDS], each[-1])
    at_ends = (values <= values.dtype.type(lowest[-1]), values >= values.dtype.type(highest[-1]))
    low, high = (
        _count_each(values, numbers, int(np.count_nonzero(at_end)))
        for numbers, at_end in zip((lowest, highest), at_ends, strict=True)
    )
    return low, high


def _count_each(values: np.ndarray, numbers: Sequence[float], n_all: int) -> EndCounts:
    """Count the values that equal each number, of ``n_all`` values at that end."""
    each = (int(np.count_nonzero(values == values.dtype.type(number))) if n_all else 0 for number in numbers)
    return EndCounts(tuple(each), n_all)
