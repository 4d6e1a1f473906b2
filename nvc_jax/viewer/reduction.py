"""Reduction of a slice to as many pixels as a screen shows."""

import math

import numpy as np


def choose_step(shape: tuple[int, int], most: int) -> int:
    """Return the side in voxels of square blocks of which neither side of a slice has more than ``most``."""
    return max(math.ceil(side / most) for side in shape)


def reduce_mean(values: np.ndarray, step: int) -> np.ndarray:
    """Return the means of blocks of ``step``² values; those at the ends may be smaller.

    Args:
        values: float64 (rows, columns); NaN does not count, and is the mean of a block of NaN.
        step: side of a block.
    """
    if step == 1:
        return values
    is_valid = ~np.isnan(values)
    sums, counts = _add_up(np.where(is_valid, values, 0.0), step), _add_up(is_valid.astype(np.float64), step)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def take_nearest(values: np.ndarray, step: int) -> np.ndarray:
    """Return the middle value of blocks of ``step``² values, such as labels, which have no mean."""
    rows, columns = (np.minimum(np.arange(0, side, step) + step // 2, side - 1) for side in values.shape)
    return values[np.ix_(rows, columns)]


def _add_up(values: np.ndarray, step: int) -> np.ndarray:
    for axis in range(2):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], step), axis)
    return values
