"""Planar blocks: the blocks of a volume as contiguous planes, and products of matrices with them.

A volume is cut into blocks of 8³ voxels, and held as *planar blocks*, an array (8, 8, 8, n): element
(z, y, x) is a plane that holds that voxel of all n blocks. All arithmetic of the transform is then element by
element along contiguous planes, or a small matrix times many columns; XLA is fast at both.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3

BLOCK_SIZE = 8
"""Side of a block in voxels."""
N_COEFFICIENTS = BLOCK_SIZE**3
"""Coefficients of a block."""


def to_planar(volume: jax.Array) -> jax.Array:
    """Cut a volume (z, y, x) into planar blocks (8, 8, 8, n), in z, y, x order; sides are multiples of 8."""
    z, y, x = (side // BLOCK_SIZE for side in volume.shape)
    blocks = volume.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE)
    return blocks.transpose(1, 3, 5, 0, 2, 4).reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, z * y * x)


def from_planar(planar: jax.Array, grid: Shape3) -> jax.Array:
    """Assemble a volume from planar blocks of a grid (z, y, x); the inverse of ``to_planar``."""
    blocks = planar.reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, *grid).transpose(3, 0, 4, 1, 5, 2)
    return blocks.reshape([side * BLOCK_SIZE for side in grid])


def split_planes(planar: jax.Array, axis: int) -> list[jax.Array]:
    """Split planar blocks along an axis of the block into eight arrays (8, 8, n)."""
    return [lax.index_in_dim(planar, i, axis, keepdims=False) for i in range(BLOCK_SIZE)]


def next_block(plane: jax.Array, stride: int) -> jax.Array:
    """Shift values of blocks (…, n): each gets that of the block ``stride`` later, and the last ones 0."""
    stride = min(stride, plane.shape[-1])
    return jnp.concatenate([plane[..., stride:], jnp.zeros_like(plane[..., :stride])], axis=-1)


def previous_block(plane: jax.Array, stride: int) -> jax.Array:
    """Shift values of blocks (…, n): each gets that of the block ``stride`` before, and the first ones 0."""
    n = plane.shape[-1]
    stride = min(stride, n)
    return jnp.concatenate([jnp.zeros_like(plane[..., :stride]), plane[..., : n - stride]], axis=-1)


def multiply(matrix: jax.Array, planar: jax.Array, axis: int) -> jax.Array:
    """Multiply a matrix with the voxels of planar blocks along an axis, in full float32 on every device."""
    n_before, size = math.prod(planar.shape[:axis]), planar.shape[axis]
    columns = planar.reshape(n_before, size, -1)
    matrices = jnp.broadcast_to(matrix, (n_before, *matrix.shape))  # XLA is fast at a plain batch
    return jnp.matmul(matrices, columns, precision=lax.Precision.HIGHEST).reshape(planar.shape)


def mix_layers(volume: jax.Array, matrix: jax.Array, start: jax.Array | int, axis: int) -> jax.Array:
    """Multiply a square matrix with consecutive layers of a volume (z, y, x), in full float32.

    Args:
        volume: float32 (z, y, x).
        matrix: (m, m).
        start: index of the first of the m layers.
        axis: axis along which layers are counted.

    Returns:
        The volume with these layers replaced.
    """
    layers = lax.dynamic_slice_in_dim(volume, start, len(matrix), axis)
    mixed = jnp.tensordot(matrix, layers, axes=([1], [axis]), precision=lax.Precision.HIGHEST)
    return lax.dynamic_update_slice_in_dim(volume, jnp.moveaxis(mixed, 0, axis), start, axis)
