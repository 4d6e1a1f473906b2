"""Values to quantised means of blocks and back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3

MIN_STEP, MAX_STEP = 2.0**-15, 2.0
"""Limits of the step, relative to the range."""


def mean_of_blocks(values: jax.Array, block_size: int) -> jax.Array:
    """Means (z, y, x) of the blocks of a volume; the last blocks are filled with the values at its ends."""
    padded = jnp.pad(values, [(0, -side % block_size) for side in values.shape], mode="edge")
    z, y, x = (side // block_size for side in padded.shape)
    return padded.reshape(z, block_size, y, block_size, x, block_size).mean((1, 3, 5))


@functools.partial(jax.jit, static_argnames="block_size")
def encode_means(
    volume: jax.Array, minimum: jax.Array, maximum: jax.Array, step: jax.Array, block_size: int
) -> jax.Array:
    """Quantise the mean of each block: int32 (z, y, x), in steps above the minimum."""
    unit = normalize(volume, minimum, maximum)
    return jnp.rint(mean_of_blocks(unit, block_size) / step).astype(jnp.int32)


@functools.partial(jax.jit, static_argnames=("shape", "dtype"))
def decode_means(
    params: Params,
    points: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    shape: Shape3,
    dtype: str,
) -> jax.Array:
    """Decode a volume: each voxel is the mean of its block plus the trained pattern of a block.

    Args:
        params: ``pattern``, float32 (block size)³, relative to the range.
        points: from ``encode_means``.
        minimum: value that counts as 0.
        maximum: value that counts as 1.
        step: of the quantiser, relative to the range.
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
    """
    pattern = params["pattern"]
    means = points.astype(jnp.float32) * step
    voxels = means[:, None, :, None, :, None] + pattern[None, :, None, :, None, :]
    padded = voxels.reshape([n * pattern.shape[0] for n in points.shape])
    unit = padded[tuple(slice(0, side) for side in shape)]
    return denormalize(jnp.clip(unit, 0, 1), minimum, maximum, np.dtype(dtype))
