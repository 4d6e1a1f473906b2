"""Partial blocks: the last blocks along axes whose length is no multiple of 8."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_dct import BLOCK, N_LATENTS, dct_matrix, map_layers
from nvc_jax.transform.block_layout import Layout


def short_sides(extent: jax.Array) -> jax.Array:
    """Voxels of the last block along z, y, x: int32 (3,) from 1 to 8."""
    return (extent - 1) % BLOCK + 1


@functools.cache
def _stretches() -> tuple[np.ndarray, np.ndarray]:
    """Matrices (9, 8, 8) that stretch so many voxels to 8 and back; float32."""
    stretch, back = np.zeros((2, BLOCK + 1, BLOCK, BLOCK), np.float32)
    for m in range(1, BLOCK + 1):
        # Its DCT of 8 is the DCT of the m voxels, scaled to keep their mean.
        matrix = dct_matrix(BLOCK)[:m].T @ dct_matrix(m)
        stretch[m, :, :m] = matrix * math.sqrt(BLOCK / m)
        back[m, :m] = matrix.T * math.sqrt(m / BLOCK)
    return stretch, back


def _map_last(volume: jax.Array, extent: jax.Array, matrices: np.ndarray) -> jax.Array:
    for axis in range(3):
        start = (extent[axis] - 1) // BLOCK * BLOCK
        matrix = jnp.asarray(matrices)[short_sides(extent)[axis]]
        volume = map_layers(volume, matrix, start, axis)
    return volume


def stretch(volume: jax.Array, extent: jax.Array) -> jax.Array:
    """Stretch the short blocks of a float32 volume (z, y, x), of which ``extent`` voxels count."""
    return _map_last(volume, extent, _stretches()[0])


def unstretch(volume: jax.Array, extent: jax.Array) -> jax.Array:
    """The inverse of ``stretch`` within ``extent``."""
    return _map_last(volume, extent, _stretches()[1])


def error_scale(layout: Layout) -> jax.Array:
    """What an error of 1 in a latent but the mean adds to the volume where blocks are short: float32 (n,)."""
    shares = jnp.sqrt(short_sides(layout.extent).astype(jnp.float32) / BLOCK)
    scale = jnp.ones(layout.kind.shape, jnp.float32)
    for axis in range(3):
        scale = jnp.where(layout.kind & (4 >> axis) > 0, scale * shares[axis], scale)
    return scale


def frequencies_by_kind(extent: jax.Array) -> jax.Array:
    """Which latents a block of each kind has: bool (8, 512)."""
    frequency = np.indices((BLOCK,) * 3).reshape(3, -1)
    sides = short_sides(extent)
    has = jnp.ones((8, N_LATENTS), bool)
    for axis in range(3):
        is_short = np.arange(8) & (4 >> axis) > 0
        has &= ~is_short[:, None] | (jnp.asarray(frequency[axis])[None] < sides[axis])
    return has
