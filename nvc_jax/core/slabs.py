"""Elementwise work on large arrays in slabs: intermediate arrays are small and stay in the cache."""

import math
from collections.abc import Callable, Iterator

import numpy as np

_MOST_VALUES = 1 << 17
"""Values of a slab, about: with float64 1 MiB."""


def slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """List the slices of the first axis that cut arrays of a shape into slabs; none of an empty array."""
    n_values = math.prod(shape)
    if n_values:
        n_rows = max(1, _MOST_VALUES * shape[0] // n_values)
        yield from (slice(start, start + n_rows) for start in range(0, shape[0], n_rows))


def map_slabs(function: Callable[..., np.ndarray], *arrays: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Apply an elementwise function to arrays of one shape, with one axis or more.

    Args:
        function: takes slabs of the arrays, returns an array of the slabs' shape.
        arrays: of one shape.
        dtype: of the result.

    Returns:
        The results, of the arrays' shape.
    """
    result = np.empty(arrays[0].shape, dtype)
    for slab in slabs(result.shape):
        result[slab] = function(*(array[slab] for array in arrays))
    return result
