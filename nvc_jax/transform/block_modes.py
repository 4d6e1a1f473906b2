"""Modes of superblocks, and the plan of the transform that follows from them.

A *superblock* is 2 × 2 × 2 blocks, 16³ voxels. Its *mode* says whether the filter crosses the borders of its
blocks, and whether they are transformed as eight blocks or as one.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.transform.block_layout import block_indices
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.plan import TransformPlan
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

PLAIN, LAPPED, LARGE = range(3)
"""Modes: blocks that end at their borders, blocks joined by the filter, one block of 16³ joined by it."""
N_MODES = 3
"""Number of modes."""
N_FILTER_MODES = len(FILTERS) * N_MODES
"""Number of (filter, mode) pairs."""


def filter_mode_index(filter_index: jax.Array, modes: jax.Array) -> jax.Array:
    """Index each block's (filter, mode) pair, int32 below N_FILTER_MODES.

    Args:
        filter_index: int32, the filter of the volume.
        modes: int32, the modes of the blocks.
    """
    return filter_index * N_MODES + modes


def superblock_grid(grid: Shape3) -> Shape3:
    """Number of superblocks along z, y and x of a grid of blocks."""
    return check_shape(tuple(-(-side // 2) for side in grid))


def expand_to_blocks(superblocks: jax.Array, grid: Shape3) -> jax.Array:
    """Repeat the values of superblocks (z, y, x) for their blocks: an array of the shape of ``grid``."""
    for axis in range(3):
        superblocks = jnp.repeat(superblocks, 2, axis=axis)
    return lax.slice(superblocks, (0, 0, 0), grid)


def modes_of_superblocks(modes_of_blocks: jax.Array, grid: Shape3) -> jax.Array:
    """Collect the modes of superblocks (z, y, x) from blocks, int32 (n,): those of their first blocks."""
    return modes_of_blocks.reshape(grid)[::2, ::2, ::2]


def sum_over_superblocks(blocks: jax.Array) -> jax.Array:
    """Sum the values of blocks (z, y, x) over every superblock."""
    padded = jnp.pad(blocks, [(0, side % 2) for side in blocks.shape])
    z, y, x = (side // 2 for side in padded.shape)
    return jnp.sum(padded.reshape(z, 2, y, 2, x, 2), axis=(1, 3, 5))


def is_complete(grid: Shape3, valid_shape: jax.Array) -> jax.Array:
    """Test whether all 16³ voxels of each superblock are in the volume: only then may it be large.

    Args:
        grid: blocks along z, y, x.
        valid_shape: int32 (3,), voxels of the volume.

    Returns:
        bool, of the shape of the grid of superblocks.
    """
    complete = jnp.ones(superblock_grid(grid), bool)
    for axis, index in enumerate(block_indices(superblock_grid(grid))):
        complete &= (index + 1) * 2 * BLOCK_SIZE <= valid_shape[axis]
    return complete


def make_plan(modes: jax.Array, grid: Shape3, valid_shape: jax.Array) -> TransformPlan:
    """Plan the transform of a volume.

    Args:
        modes: int32 (z, y, x), of the superblocks. An incomplete one is never large, but lapped.
        grid: blocks along z, y, x; static.
        valid_shape: int32 (3,), voxels of the volume.
    """
    large = expand_to_blocks((modes == LARGE) & is_complete(grid, valid_shape), grid)
    lapped = expand_to_blocks(modes != PLAIN, grid)
    by_axis = []
    for axis, index in enumerate(block_indices(grid)):
        is_odd = index % 2 == 1
        first_half, second_half = large & ~is_odd, large & is_odd

        # The filter never crosses the border of a partial block, which would then have more coefficients than
        # voxels. Nor does it cross the border between a large and a small block: the filter inside of the
        # small one has no counterpart in the large one.
        next_is_full = (index + 2) * BLOCK_SIZE <= valid_shape[axis]
        is_alike = lapped & jnp.roll(lapped, -1, axis) & (large == jnp.roll(large, -1, axis))
        crossed = is_alike & next_is_full & ~first_half

        before = jnp.roll(crossed, 1, axis)
        before = jnp.where(second_half, jnp.roll(before, 1, axis), before)
        after = jnp.where(first_half, jnp.roll(crossed, -1, axis), crossed)
        by_axis.append(TransformPlan(crossed, before, after, first_half, second_half))
    return TransformPlan(*(jnp.stack(leaves) for leaves in zip(*by_axis, strict=True)))


def uniform_plan(mode: jax.Array | int, grid: Shape3, valid_shape: jax.Array) -> TransformPlan:
    """Plan a transform in which every superblock has the same mode."""
    return make_plan(jnp.full(superblock_grid(grid), mode, jnp.int32), grid, valid_shape)
