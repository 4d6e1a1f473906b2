"""Layout of the blocks of a volume: the blocks inside the volume, their order, and the partial ones.

A *block* is 8³ coefficients. A grid of blocks may be larger than the volume: arrays of one padded shape hold
volumes of many valid shapes, so that one compiled program serves them all.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.compaction import compact
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.dispatch import call, on_cpu

BLOCK_SIZE = 8
"""Coefficients of a block along each axis."""
N_COEFFICIENTS = BLOCK_SIZE**3
"""Coefficients of a block."""
N_PARTIAL_TYPES = 8
"""Number of partial-block types: each of three sides is either partial or full."""


class BlockLayout(NamedTuple):
    """Position of a volume in a grid of n blocks; blocks are listed in z, y, x order.

    Attributes:
        valid_shape: int32 (3,), voxels of the volume along z, y, x; at most the grid's.
        inside: bool (n,), whether the block has at least one coefficient of the volume.
        order: int32 (n,), indices of the blocks inside the volume in z, y, x order, then of the others.
        n_blocks: int32, number of blocks inside the volume.
        partial_type: int32 (n,), the sides of the block that have fewer than 8 coefficients: the sum of their
            ``partial_bit``; 0 for a full block.
    """

    valid_shape: jax.Array
    inside: jax.Array
    order: jax.Array
    n_blocks: jax.Array
    partial_type: jax.Array


def partial_bit(axis: int) -> int:
    """Bit of ``BlockLayout.partial_type`` of blocks that are partial along an axis: 4, 2, 1 for z, y, x."""
    return 4 >> axis


def last_block_sides(valid_shape: jax.Array) -> jax.Array:
    """Number of coefficients of the last block along z, y, x: int32 (3,), from 1 to 8."""
    return (valid_shape - 1) % BLOCK_SIZE + 1


def make_layout(grid: Shape3, valid_shape: jax.Array) -> BlockLayout:
    """Compute the layout of a volume in a grid of blocks.

    Args:
        grid: number of blocks along z, y, x; static.
        valid_shape: int32 (3,), voxels of the volume along z, y, x; at most 8 times ``grid``.
    """

    def reference(valid_shape: jax.Array) -> BlockLayout:
        return make_layout_reference(grid, valid_shape)

    def kernel(valid_shape: jax.Array) -> BlockLayout:
        numbers = jax.ShapeDtypeStruct((math.prod(grid),), jnp.int32)
        results = (jax.ShapeDtypeStruct(grid, bool), numbers, jax.ShapeDtypeStruct((), jnp.int32), numbers)
        inside, order, n_blocks, partial_type = call("nvc_make_layout", results, valid_shape)
        return BlockLayout(valid_shape, inside.reshape(-1), order, n_blocks, partial_type)

    return on_cpu(kernel, reference, valid_shape)


def make_layout_reference(grid: Shape3, valid_shape: jax.Array) -> BlockLayout:
    """Compute the layout of a volume: the specification of the kernel."""
    inside = jnp.ones(grid, bool)
    partial_type = jnp.zeros(grid, jnp.int32)
    for axis in range(3):
        index = lax.broadcasted_iota(jnp.int32, grid, axis)
        inside &= index * BLOCK_SIZE < valid_shape[axis]
        partial_type += jnp.where((index + 1) * BLOCK_SIZE > valid_shape[axis], partial_bit(axis), 0)

    inside = inside.reshape(-1)
    return BlockLayout(
        valid_shape=valid_shape,
        inside=inside,
        order=compact(inside)[0],
        n_blocks=jnp.sum(inside, dtype=jnp.int32),
        partial_type=partial_type.reshape(-1),
    )


def positions_by_partial_type(valid_shape: jax.Array) -> jax.Array:
    """Tell the positions in a block that hold a coefficient from those that are always 0.

    Returns:
        bool (8, 512), by ``BlockLayout.partial_type`` and position.
    """
    position = np.indices((BLOCK_SIZE,) * 3).reshape(3, -1)
    sides = last_block_sides(valid_shape)
    exists = jnp.ones((N_PARTIAL_TYPES, N_COEFFICIENTS), bool)
    for axis in range(3):
        is_partial = np.arange(N_PARTIAL_TYPES) & partial_bit(axis) > 0
        exists &= ~is_partial[:, None] | (jnp.asarray(position[axis])[None] < sides[axis])
    return exists


def to_blocks(coefficients: jax.Array) -> jax.Array:
    """Cut an array of coefficients (z, y, x), sides multiples of 8, into blocks (n, 512)."""
    z, y, x = (side // BLOCK_SIZE for side in coefficients.shape)
    cut = coefficients.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(-1, N_COEFFICIENTS)


def from_blocks(blocks: jax.Array, grid: Shape3) -> jax.Array:
    """Assemble blocks (n, 512) of a grid to an array (z, y, x): the inverse of ``to_blocks``."""
    z, y, x = grid
    assembled = blocks.reshape(*grid, BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE).transpose(0, 3, 1, 4, 2, 5)
    return assembled.reshape(z * BLOCK_SIZE, y * BLOCK_SIZE, x * BLOCK_SIZE)
