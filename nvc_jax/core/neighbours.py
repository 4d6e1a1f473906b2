"""Neighbours along an axis of an array."""

import numpy as np


def count_pairs(values: np.ndarray, axis: int) -> int:
    """Count the pairs of neighbours along an axis of an array that has values."""
    side = values.shape[axis]
    return values.size // side * (side - 1)


def count_equal(values: np.ndarray, axis: int) -> int:
    """Count the pairs of neighbours along an axis that are equal; of an array that has values."""
    if axis == values.ndim - 1 and values.flags.c_contiguous:
        # One line with all others is compared faster than many short ones.
        line, rows = values.reshape(-1), values.reshape(-1, values.shape[-1])
        return int(np.count_nonzero(line[1:] == line[:-1]) - np.count_nonzero(rows[1:, 0] == rows[:-1, -1]))
    lines = np.moveaxis(values, axis, 0)
    return int(np.count_nonzero(lines[1:] == lines[:-1]))
