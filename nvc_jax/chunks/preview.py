"""Preview of a chunk: the means of its blocks of 8³ voxels."""

import numpy as np

from nvc_jax.chunks.payload import Payload
from nvc_jax.chunks.special_values import restore_special_values
from nvc_jax.chunks.uniform_quantization import round_to_dtype

PREVIEW_BLOCK_SIZE = 8
"""Side, in voxels, of the blocks whose means a preview shows; also the block size of spectral models."""


def block_means(values: np.ndarray) -> np.ndarray:
    """Mean of each block of 8³ voxels (z, y, x), in the same dtype; partial blocks count their own voxels."""
    sums = values.astype(np.float64)
    for axis, side in enumerate(values.shape):
        starts = np.arange(0, side, PREVIEW_BLOCK_SIZE)
        counts = np.diff([*starts, side]).reshape([-1 if i == axis else 1 for i in range(3)])
        sums = np.add.reduceat(sums, starts, axis=axis) / counts
    return round_to_dtype(sums, values.dtype)


def show_special_blocks(means: np.ndarray, payload: Payload) -> np.ndarray:
    """Replace the means of blocks that hold no valid value by each block's first value."""
    if not payload.special_values:
        return means
    values = np.zeros(payload.valid_shape, payload.dtype)
    labels = restore_special_values(values, payload.special_values)
    first_values = values[tuple(slice(None, None, PREVIEW_BLOCK_SIZE) for _ in range(3))]
    valid_share = block_means((labels == 0).astype(np.float32))
    return np.where(valid_share == 0, first_values, means)
