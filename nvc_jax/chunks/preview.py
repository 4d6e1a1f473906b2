"""Preview of a chunk: the means of its blocks of 8³ voxels."""

import numpy as np

from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.payload import Payload
from nvc_jax.chunks.special_values import restore_special_values
from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.dtypes import is_long_integer
from nvc_jax.core.long_integers import from_means, offsets_from
from nvc_jax.core.shapes import Shape3

PREVIEW_BLOCK_SIZE = 8
"""Side, in voxels, of the blocks whose means a preview shows; also the block size of spectral models."""

_LARGE = float(np.finfo(np.float64).max) / PREVIEW_BLOCK_SIZE
"""Magnitude beyond which the sum of a block's voxels along an axis may exceed float64's range."""


def block_means(values: np.ndarray) -> np.ndarray:
    """Mean of each block of 8³ voxels (z, y, x), in the same dtype; partial blocks count their own voxels."""
    if is_long_integer(values.dtype):
        low = int(values.min())
        return from_means(_float_means(offsets_from(values, low)), low, values.dtype)
    return round_to_dtype(_float_means(values), values.dtype)


def _float_means(values: np.ndarray) -> np.ndarray:
    """Mean of each block, float64."""
    with np.errstate(invalid="ignore", over="ignore"):  # a damaged chunk may hold infinities and NaN
        sums = values.astype(np.float64)
        largest = max(sums.max(initial=0), -sums.min(initial=0))
        scale = 1 / PREVIEW_BLOCK_SIZE if _LARGE < largest < np.inf else 1.0
        if scale != 1:
            sums *= scale
        for axis, side in enumerate(values.shape):
            starts = np.arange(0, side, PREVIEW_BLOCK_SIZE)
            counts = np.diff([*starts, side]).reshape([-1 if i == axis else 1 for i in range(3)])
            sums = np.add.reduceat(sums, starts, axis=axis) / counts
        return sums if scale == 1 else np.clip(sums, -largest * scale, largest * scale) / scale


def show_special_blocks(
    means: np.ndarray, payload: Payload, padded_shape: Shape3, decoded_range: DecodedRange
) -> np.ndarray:
    """Correct the means of blocks for the values that are stored apart from the body.

    Exact values count as any others do. A block that holds no valid value shows its first value.

    Args:
        means: (z, y, x) blocks, of the body.
        payload: of the chunk.
        padded_shape: (z, y, x) voxels of a whole chunk.
        decoded_range: rules of the volume, which means keep, too.
    """
    if not payload.special_values:
        return decoded_range.enforce(means)
    values = np.zeros(payload.valid_shape, means.dtype)
    labels, n_exact = restore_special_values(values, payload.special_values, padded_shape)
    if n_exact:
        is_exact = (labels > 0) & (labels <= n_exact)
        exact_sums = _float_means(np.where(is_exact, values, 0))
        exact_share, body_share = _float_means(is_exact), _float_means(labels == 0)
        corrected = (means * body_share + exact_sums) / np.maximum(body_share + exact_share, 1e-9)
        means = np.where(exact_share > 0, round_to_dtype(corrected, means.dtype), means)
    first_values = values[tuple(slice(None, None, PREVIEW_BLOCK_SIZE) for _ in range(3))]
    valid_share = _float_means(labels <= n_exact)
    return np.where(valid_share == 0, first_values, decoded_range.enforce(means))
