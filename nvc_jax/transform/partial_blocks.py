"""Partial blocks: the last blocks along an axis whose length is not a multiple of 8.

A partial block is stretched to 8 voxels along the axis, by a DCT of its m voxels and an inverse DCT of 8 with
the other frequencies 0. So it has only m frequencies along the axis, as many as it has voxels, and no
coefficient is coded for voxels outside of the volume.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_layout import N_PARTIAL_TYPES, BlockLayout, partial_bit
from nvc_jax.transform.dct import dct_matrix
from nvc_jax.transform.planar_blocks import BLOCK_SIZE, N_COEFFICIENTS, mix_layers


def last_block_sides(valid_shape: jax.Array) -> jax.Array:
    """Number of voxels of the volume in the last block along z, y, x: int32 (3,), from 1 to 8."""
    return (valid_shape - 1) % BLOCK_SIZE + 1


@functools.cache
def _stretch_matrices() -> tuple[np.ndarray, np.ndarray]:
    """Compute the matrices that stretch m voxels to 8, and those that undo it: float32 (9, 8, 8), m first."""
    stretch, unstretch = np.zeros((2, BLOCK_SIZE + 1, BLOCK_SIZE, BLOCK_SIZE), np.float32)
    for m in range(1, BLOCK_SIZE + 1):
        matrix = dct_matrix(BLOCK_SIZE)[:m].T @ dct_matrix(m)
        # The factors keep the mean of the voxels.
        stretch[m, :, :m] = matrix * math.sqrt(BLOCK_SIZE / m)
        unstretch[m, :m] = matrix.T * math.sqrt(m / BLOCK_SIZE)
    return stretch, unstretch


def _map_last_blocks(volume: jax.Array, valid_shape: jax.Array, matrices: np.ndarray) -> jax.Array:
    """Multiply the last block along each axis with the matrix of its number of voxels."""
    for axis in range(3):
        start = (valid_shape[axis] - 1) // BLOCK_SIZE * BLOCK_SIZE
        matrix = jnp.asarray(matrices)[last_block_sides(valid_shape)[axis]]
        volume = mix_layers(volume, matrix, start, axis)
    return volume


def stretch(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """Stretch the partial blocks of a volume to 8 voxels.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        valid_shape: int32 (3,), voxels along z, y, x that count; the others are ignored.
    """
    return _map_last_blocks(volume, valid_shape, _stretch_matrices()[0])


def unstretch(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """Undo ``stretch`` within ``valid_shape``."""
    return _map_last_blocks(volume, valid_shape, _stretch_matrices()[1])


def error_scale(layout: BlockLayout) -> jax.Array:
    """Compute the error in the volume of an error of 1 in a coefficient of each block: float32 (n,).

    It is below 1 in partial blocks, because undoing the stretch makes errors smaller. Does not apply to DC,
    whose weight is 1 (see ``error_weights``).
    """
    factors = jnp.sqrt(last_block_sides(layout.valid_shape).astype(jnp.float32) / BLOCK_SIZE)
    scale = jnp.ones(layout.partial_type.shape, jnp.float32)
    for axis in range(3):
        scale = jnp.where(layout.partial_type & partial_bit(axis) > 0, scale * factors[axis], scale)
    return scale


def frequencies_by_partial_type(valid_shape: jax.Array) -> jax.Array:
    """Tell the coefficients that a block of each partial type has from those that are always 0.

    Returns:
        bool (8, 512), by ``BlockLayout.partial_type`` and coefficient.
    """
    frequency = np.indices((BLOCK_SIZE,) * 3).reshape(3, -1)
    sides = last_block_sides(valid_shape)
    exists = jnp.ones((N_PARTIAL_TYPES, N_COEFFICIENTS), bool)
    for axis in range(3):
        is_partial = np.arange(N_PARTIAL_TYPES) & partial_bit(axis) > 0
        exists &= ~is_partial[:, None] | (jnp.asarray(frequency[axis])[None] < sides[axis])
    return exists
