"""Filling of gaps: values that are not valid are replaced by values that cost few bits."""

import numpy as np

from nvc_jax.core.aligned_arrays import empty_aligned


def fill_smoothly(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Replace what is not ``valid`` by averages of the nearest valid values, from fine to coarse.

    Args:
        values: float (z, y, x).
        valid: bool, of the same shape.
    """
    if valid.all():
        return values
    filled = np.where(valid, values, 0)
    if not valid.any():
        return filled
    weights = valid.astype(filled.dtype)
    coarse_weights = _sum_pairs(weights)
    coarse = _sum_pairs(filled) / np.maximum(coarse_weights, 1)
    coarse = fill_smoothly(coarse, coarse_weights > 0)
    for axis in range(3):
        coarse = np.repeat(coarse, 2, axis=axis)
    result = np.ascontiguousarray(coarse[tuple(slice(0, side) for side in values.shape)])
    np.copyto(result, values, where=valid)
    return result


def _sum_pairs(values: np.ndarray) -> np.ndarray:
    """Sum up cubes of 2 × 2 × 2 values, axis by axis: NumPy sums over short axes slowly."""
    for axis in range(3):
        even, odd = (values[(slice(None),) * axis + (slice(first, None, 2),)] for first in (0, 1))
        pairs = even.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # near the end of a dtype sums may be infinite
            pairs[(slice(None),) * axis + (slice(odd.shape[axis]),)] += odd
        values = pairs
    return values


def pad_with_ends(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Extend an array to a shape by copies of the values at its ends; aligned, see ``aligned_arrays``."""
    padded = empty_aligned(shape, values.dtype)
    padded[tuple(map(slice, values.shape))] = values
    for axis, side in enumerate(values.shape):
        # Along the axes before, the array is whole already.
        whole = [slice(n) for n in shape[:axis]]
        padded[*whole, side:] = padded[*whole, side - 1 : side]
    return padded


def fill_blocks(values: np.ndarray, valid: np.ndarray, block_size: int, empty: float) -> np.ndarray:
    """Replace what is not ``valid`` by the mean of the valid values in the same block.

    Args:
        values: (z, y, x).
        valid: bool, of the same shape.
        block_size: side of the blocks in voxels; the first block begins at the first voxel.
        empty: value of blocks without any valid value.
    """
    if valid.all():
        return values
    sums = np.stack([np.where(valid, values, 0).astype(np.float64), valid.astype(np.float64)])
    for axis, side in enumerate(values.shape, 1):
        sums = np.add.reduceat(sums, np.arange(0, side, block_size), axis=axis)
    means = np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), empty)
    index = np.ix_(*(np.arange(side) // block_size for side in values.shape))
    return np.where(valid, values, means[index].astype(values.dtype))


def fill_with_last(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Replace what is not ``valid`` by the last valid value in C order, or the first one before any."""
    if valid.all() or not valid.any():
        return values
    index = np.where(valid.reshape(-1), np.arange(values.size), -1)
    index = np.maximum.accumulate(index)
    index[index < 0] = np.flatnonzero(valid)[0]
    return values.reshape(-1)[index].reshape(values.shape)
