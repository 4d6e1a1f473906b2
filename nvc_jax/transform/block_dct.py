"""Volumes of blocks as *cells*, (8, 8, 8, n): each voxel of a block is a plane over the n blocks of a grid.

All arithmetic of the transform is then element by element along contiguous planes, or a small matrix times
many columns; both are what XLA is fast at.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3

BLOCK_SIZE = 8
N_COEFFICIENTS = BLOCK_SIZE**3


def dct_matrix(size: int, half_shift: bool = False) -> np.ndarray:
    """Orthonormal DCT-II, or DCT-IV with ``half_shift``; rows are basis functions."""
    frequency = np.arange(size)[:, None] + (0.5 if half_shift else 0.0)
    matrix = np.sqrt(2 / size) * np.cos(np.pi * (np.arange(size) + 0.5) * frequency / size)
    if not half_shift:
        matrix[0] /= np.sqrt(2)
    return matrix


def to_planar(volume: jax.Array) -> jax.Array:
    """Cells (8, 8, 8, n) of a volume (z, y, x) whose sides are multiples of 8; blocks in z, y, x order."""
    z, y, x = (side // BLOCK_SIZE for side in volume.shape)
    blocks = volume.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE)
    return blocks.transpose(1, 3, 5, 0, 2, 4).reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, z * y * x)


def from_planar(cells: jax.Array, grid: Shape3) -> jax.Array:
    """The volume of cells: the inverse of ``to_planar``."""
    blocks = cells.reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, *grid).transpose(3, 0, 4, 1, 5, 2)
    return blocks.reshape([side * BLOCK_SIZE for side in grid])


def split_planes(cells: jax.Array, axis: int) -> list[jax.Array]:
    """The eight planes of cells along an axis."""
    return [lax.index_in_dim(cells, i, axis, keepdims=False) for i in range(BLOCK_SIZE)]


def next_block(plane: jax.Array, stride: int) -> jax.Array:
    """Of every block, the value of the next one, ``stride`` further; 0 at the end."""
    stride = min(stride, plane.shape[-1])
    return jnp.concatenate([plane[..., stride:], jnp.zeros_like(plane[..., :stride])], axis=-1)


def previous_block(plane: jax.Array, stride: int) -> jax.Array:
    """Of every block, the value of the one before; 0 at the start."""
    n = plane.shape[-1]
    stride = min(stride, n)
    return jnp.concatenate([jnp.zeros_like(plane[..., :stride]), plane[..., : n - stride]], axis=-1)


def multiply(matrix: jax.Array, cells: jax.Array, axis: int) -> jax.Array:
    """``matrix`` times the voxels of cells along an axis; in full float32 on every device."""
    lead, size = math.prod(cells.shape[:axis]), cells.shape[axis]
    columns = cells.reshape(lead, size, -1)
    matrices = jnp.broadcast_to(matrix, (lead, *matrix.shape))  # a plain batch is what XLA is fast at
    return jnp.matmul(matrices, columns, precision=lax.Precision.HIGHEST).reshape(cells.shape)


def mix_layers(volume: jax.Array, matrix: jax.Array, start: jax.Array | int, axis: int) -> jax.Array:
    """A volume (z, y, x) whose layers from ``start`` on along an axis a square ``matrix`` mixes."""
    layers = lax.dynamic_slice_in_dim(volume, start, len(matrix), axis)
    mixed = jnp.tensordot(matrix, layers, axes=([1], [axis]), precision=lax.Precision.HIGHEST)
    return lax.dynamic_update_slice_in_dim(volume, jnp.moveaxis(mixed, 0, axis), start, axis)
