"""Partial blocks: the last blocks along axes whose length is no multiple of 8."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS, dct_matrix, mix_layers
from nvc_jax.transform.block_layout import BlockLayout


def short_sides(valid_shape: jax.Array) -> jax.Array:
    """Voxels of the last block along z, y, x: int32 (3,) from 1 to 8."""
    return (valid_shape - 1) % BLOCK_SIZE + 1


@functools.cache
def _stretches() -> tuple[np.ndarray, np.ndarray]:
    """Matrices (9, 8, 8) that stretch so many voxels to 8 and back; float32."""
    stretch, back = np.zeros((2, BLOCK_SIZE + 1, BLOCK_SIZE, BLOCK_SIZE), np.float32)
    for m in range(1, BLOCK_SIZE + 1):
        # Its DCT of 8 is the DCT of the m voxels, scaled to keep their mean.
        matrix = dct_matrix(BLOCK_SIZE)[:m].T @ dct_matrix(m)
        stretch[m, :, :m] = matrix * math.sqrt(BLOCK_SIZE / m)
        back[m, :m] = matrix.T * math.sqrt(m / BLOCK_SIZE)
    return stretch, back


def _map_last(volume: jax.Array, valid_shape: jax.Array, matrices: np.ndarray) -> jax.Array:
    for axis in range(3):
        start = (valid_shape[axis] - 1) // BLOCK_SIZE * BLOCK_SIZE
        matrix = jnp.asarray(matrices)[short_sides(valid_shape)[axis]]
        volume = mix_layers(volume, matrix, start, axis)
    return volume


def stretch(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """Stretch the short blocks of a float32 volume (z, y, x), of which ``valid_shape`` voxels count."""
    return _map_last(volume, valid_shape, _stretches()[0])


def unstretch(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """The inverse of ``stretch`` within ``valid_shape``."""
    return _map_last(volume, valid_shape, _stretches()[1])


def error_scale(layout: BlockLayout) -> jax.Array:
    """What an error of 1 in a latent but the mean adds to the volume where blocks are short: float32 (n,)."""
    shares = jnp.sqrt(short_sides(layout.valid_shape).astype(jnp.float32) / BLOCK_SIZE)
    scale = jnp.ones(layout.partial_type.shape, jnp.float32)
    for axis in range(3):
        scale = jnp.where(layout.partial_type & (4 >> axis) > 0, scale * shares[axis], scale)
    return scale


def frequencies_by_partial_type(valid_shape: jax.Array) -> jax.Array:
    """Which latents a block of each kind has: bool (8, 512)."""
    frequency = np.indices((BLOCK_SIZE,) * 3).reshape(3, -1)
    sides = short_sides(valid_shape)
    has = jnp.ones((8, N_COEFFICIENTS), bool)
    for axis in range(3):
        is_short = np.arange(8) & (4 >> axis) > 0
        has &= ~is_short[:, None] | (jnp.asarray(frequency[axis])[None] < sides[axis])
    return has
