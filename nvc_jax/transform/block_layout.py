"""Layout of the blocks of a volume."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.block_dct import BLOCK_SIZE


class Layout(NamedTuple):
    """Blocks of a grid and which of them there are; n blocks, in z, y, x order.

    Attributes:
        valid_shape: int32 (3,), voxels of the volume along z, y, x: at most the grid's.
        present: bool (n,), whether there is the block.
        order: int32 (n,), the blocks that there are, in z, y, x order, then the others.
        n_blocks: int32, how many there are.
        kind: int32 (n,), 4, 2 and 1 added up where the block is short along z, y, x.
        leads: bool (n,), the block is the first of its superblock.
    """

    valid_shape: jax.Array
    present: jax.Array
    order: jax.Array
    n_blocks: jax.Array
    kind: jax.Array
    leads: jax.Array


def block_indices(grid: Shape3) -> list[jax.Array]:
    """Each block's index along z, y, x; int32, shaped to broadcast over the grid."""
    return [lax.broadcasted_iota(jnp.int32, grid, axis) for axis in range(3)]


def make_layout(grid: Shape3, valid_shape: jax.Array) -> Layout:
    """The layout of a volume of ``valid_shape`` voxels, int32 (3,), in a grid that holds it."""
    present = jnp.ones(grid, bool)
    leads = jnp.ones(grid, bool)
    kind = jnp.zeros(grid, jnp.int32)
    for axis, index in enumerate(block_indices(grid)):
        present &= index * BLOCK_SIZE < valid_shape[axis]
        leads &= index % 2 == 0
        kind += jnp.where((index + 1) * BLOCK_SIZE > valid_shape[axis], 4 >> axis, 0)
    present = present.reshape(-1)
    order = jnp.argsort(~present, stable=True).astype(jnp.int32)
    n_blocks = jnp.sum(present, dtype=jnp.int32)
    return Layout(valid_shape, present, order, n_blocks, kind.reshape(-1), leads.reshape(-1))
