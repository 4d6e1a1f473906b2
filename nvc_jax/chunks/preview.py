"""Means of a chunk's blocks: what a preview of a volume is made of."""

import numpy as np

from nvc_jax.chunks import uniform_quantization
from nvc_jax.chunks.payload import Payload
from nvc_jax.chunks.special_values import restore_specials
from nvc_jax.transform.block_dct import BLOCK_SIZE


def block_means(values: np.ndarray) -> np.ndarray:
    """Means over blocks of 8³, those at the far boundaries of what of them there is; in the same dtype."""
    sums = values.astype(np.float64)
    for axis, side in enumerate(values.shape):
        starts = np.arange(0, side, BLOCK_SIZE)
        counts = np.diff([*starts, side]).reshape([-1 if i == axis else 1 for i in range(3)])
        sums = np.add.reduceat(sums, starts, axis=axis) / counts
    return uniform_quantization.round_to(sums, values.dtype)


def with_specials(means: np.ndarray, frame: Payload) -> np.ndarray:
    """The means of a chunk's blocks; where nothing of a block is valid, its first value."""
    if not frame.specials:
        return means
    values = np.zeros(frame.shape, frame.dtype)
    labels = restore_specials(values, frame.specials)
    firsts = values[tuple(slice(None, None, BLOCK_SIZE) for _ in range(3))]
    return np.where(block_means((labels == 0).astype(np.float32)) == 0, firsts, means)
