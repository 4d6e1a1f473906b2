"""Layout of the blocks of a volume: the blocks inside the volume, their order, and the partial ones.

A grid of blocks may be larger than the volume: arrays of one padded shape hold volumes of many valid shapes,
so that one compiled program serves them all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

N_PARTIAL_TYPES = 8
"""Number of partial-block types: each of three sides is either partial or full."""


class BlockLayout(NamedTuple):
    """Position of a volume in a grid of n blocks; blocks are listed in z, y, x order.

    Attributes:
        valid_shape: int32 (3,), voxels of the volume along z, y, x; at most the grid's.
        inside: bool (n,), whether the block holds at least one voxel of the volume.
        order: int32 (n,), indices of the blocks inside the volume in z, y, x order, then of the others.
        n_blocks: int32, number of blocks inside the volume.
        partial_type: int32 (n,), the sides of the block that have fewer than 8 voxels of the volume: the sum
            of their ``partial_bit``; 0 for a full block.
        starts_superblock: bool (n,), whether the block is the first of the eight of its superblock.
    """

    valid_shape: jax.Array
    inside: jax.Array
    order: jax.Array
    n_blocks: jax.Array
    partial_type: jax.Array
    starts_superblock: jax.Array


def partial_bit(axis: int) -> int:
    """Bit of ``BlockLayout.partial_type`` of blocks that are partial along an axis: 4, 2, 1 for z, y, x."""
    return 4 >> axis


def block_indices(grid: Shape3) -> list[jax.Array]:
    """Index of each block along z, along y and along x: three int32 arrays of the grid's shape."""
    return [lax.broadcasted_iota(jnp.int32, grid, axis) for axis in range(3)]


def make_layout(grid: Shape3, valid_shape: jax.Array) -> BlockLayout:
    """Compute the layout of a volume in a grid of blocks.

    Args:
        grid: number of blocks along z, y, x; static.
        valid_shape: int32 (3,), voxels of the volume along z, y, x; at most 8 times ``grid``.
    """
    inside = jnp.ones(grid, bool)
    starts_superblock = jnp.ones(grid, bool)
    partial_type = jnp.zeros(grid, jnp.int32)
    for axis, index in enumerate(block_indices(grid)):
        inside &= index * BLOCK_SIZE < valid_shape[axis]
        starts_superblock &= index % 2 == 0
        partial_type += jnp.where((index + 1) * BLOCK_SIZE > valid_shape[axis], partial_bit(axis), 0)

    inside = inside.reshape(-1)
    return BlockLayout(
        valid_shape=valid_shape,
        inside=inside,
        order=jnp.argsort(~inside, stable=True).astype(jnp.int32),
        n_blocks=jnp.sum(inside, dtype=jnp.int32),
        partial_type=partial_type.reshape(-1),
        starts_superblock=starts_superblock.reshape(-1),
    )
