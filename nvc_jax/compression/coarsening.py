"""A volume at half its resolution: means of 2³ voxels, or the most frequent of them."""

import itertools
from collections.abc import Sequence

import numpy as np

from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.valid_values import valid_mask

FACTOR = 2
"""Voxels along a spatial axis that make one of the next level."""


def halve_by_means(
    values: np.ndarray,
    axes: Sequence[int],
    missing_values: Sequence[float] = (),
    valid_limits: Limits = NO_LIMITS,
) -> np.ndarray:
    """Return the means of the valid values of 2 voxels along each of ``axes``.

    Where none is valid, the first voxel's value stays. Where a mean would be a missing value, one of the
    valid values takes its place. A last voxel without a second stands for both.

    Args:
        values: of any supported dtype but bool.
        axes: along which two voxels become one.
        missing_values: values that stand for no measurement.
        valid_limits: values beyond them stand for none, either.

    Returns:
        Values of the same dtype; each side is half as long along ``axes``, rounded up.
    """
    voxels = _voxels_of_blocks(values, axes)
    valid = valid_mask(voxels, missing_values, valid_limits)
    counts = valid.sum(0)
    # Divided first: the sum of two large float64 is beyond the dtype.
    shares = np.where(valid, voxels, 0).astype(np.float64) / np.maximum(counts, 1)
    means = round_to_dtype(shares.sum(0), values.dtype)
    first_valid = np.take_along_axis(voxels, valid.argmax(0)[np.newaxis], 0)[0]
    is_measurement = valid_mask(means, missing_values, valid_limits) & (counts > 0)
    return np.where(is_measurement, means, first_valid)


def halve_by_mode(values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Return the most frequent value of 2 voxels along each of ``axes``, as of labels; of ties the first.

    Args:
        values: of any supported dtype.
        axes: along which two voxels become one.
    """
    voxels = _voxels_of_blocks(values, axes)
    counts = np.stack([(voxels == voxel).sum(0) for voxel in voxels])
    return np.take_along_axis(voxels, counts.argmax(0)[np.newaxis], 0)[0]


def halved(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the next level."""
    return tuple(-(-side // FACTOR) if axis in axes else side for axis, side in enumerate(shape))


def _voxels_of_blocks(values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Return the voxels of each block along a new first axis; an odd side is filled up by its last voxels."""
    padding = [(0, side % FACTOR if axis in axes else 0) for axis, side in enumerate(values.shape)]
    padded = np.pad(values, padding, "edge")
    offsets = itertools.product(*(range(FACTOR) if axis in axes else (None,) for axis in range(values.ndim)))
    return np.stack(
        [
            padded[tuple(slice(None) if start is None else slice(start, None, FACTOR) for start in offset)]
            for offset in offsets
        ]
    )
