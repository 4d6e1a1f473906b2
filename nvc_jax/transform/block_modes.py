"""What lies where in a volume of blocks: superblocks and their modes, and the blocks at its far boundaries.

A *superblock* is 2 × 2 × 2 blocks, 16³ voxels. Its *mode* says whether the filter crosses the borders of its
blocks, and whether they are eight or one. Sides need not be multiples of 8: the last block along an axis may
be *short*, and is stretched to 8 voxels of which only as many frequencies exist as it has voxels, so that
nothing is coded that is not in the volume.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.transform.block_dct import BLOCK_SIZE
from nvc_jax.transform.block_layout import block_indices
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.plan import TransformPlan

PLAIN, LAPPED, LARGE = range(3)
N_MODES = 3
"""Modes of a superblock: blocks that end at their borders, blocks that the filter joins, one such 16³ block."""

N_FILTER_MODES = len(FILTERS) * N_MODES
"""Ways in which a block may be transformed: by filter and mode."""


def superblock_grid(grid: Shape3) -> Shape3:
    """Regions of a grid of blocks along each axis."""
    return check_shape(tuple(-(-side // 2) for side in grid))


def expand_to_blocks(superblocks: jax.Array, grid: Shape3) -> jax.Array:
    """Every block's value of its superblock: (z, y, x) from one value for each superblock."""
    for axis in range(3):
        superblocks = jnp.repeat(superblocks, 2, axis=axis)
    return lax.slice(superblocks, (0, 0, 0), grid)


def sum_over_superblocks(blocks: jax.Array) -> jax.Array:
    """Sums over every superblock of values of blocks (z, y, x)."""
    padded = jnp.pad(blocks, [(0, side % 2) for side in blocks.shape])
    z, y, x = (side // 2 for side in padded.shape)
    return jnp.sum(padded.reshape(z, 2, y, 2, x, 2), axis=(1, 3, 5))


def is_complete(grid: Shape3, valid_shape: jax.Array) -> jax.Array:
    """Whether each superblock has all of its 16³ voxels: only then may it be large."""
    whole = jnp.ones(superblock_grid(grid), bool)
    for axis, index in enumerate(block_indices(superblock_grid(grid))):
        whole &= (index + 1) * 2 * BLOCK_SIZE <= valid_shape[axis]
    return whole


def make_plan(modes: jax.Array, grid: Shape3, valid_shape: jax.Array) -> TransformPlan:
    """How the transform treats each block, from the modes of the superblocks, int32 (z, y, x)."""
    large = expand_to_blocks((modes == LARGE) & is_complete(grid, valid_shape), grid)
    lapped = expand_to_blocks(modes != PLAIN, grid)
    by_axis = []
    for axis, index in enumerate(block_indices(grid)):
        odd = index % 2 == 1
        first, second = large & ~odd, large & odd
        # No filter across the border of a short block: it would have more latents than voxels. Nor between
        # sizes: what the filter did inside the small one is not there in the large.
        next_is_full = (index + 2) * BLOCK_SIZE <= valid_shape[axis]
        alike = lapped & jnp.roll(lapped, -1, axis) & (large == jnp.roll(large, -1, axis))
        crossed = alike & next_is_full & ~first
        before = jnp.roll(crossed, 1, axis)
        before = jnp.where(second, jnp.roll(before, 1, axis), before)
        after = jnp.where(first, jnp.roll(crossed, -1, axis), crossed)
        by_axis.append(TransformPlan(crossed, before, after, first, second))
    return TransformPlan(*(jnp.stack(leaves) for leaves in zip(*by_axis, strict=True)))


def uniform_plan(mode: jax.Array | int, grid: Shape3, valid_shape: jax.Array) -> TransformPlan:
    """The plan in which every superblock has the same mode."""
    return make_plan(jnp.full(superblock_grid(grid), mode, jnp.int32), grid, valid_shape)


def filter_mode_index(filter_index: jax.Array, modes: jax.Array) -> jax.Array:
    """In which of N_FILTER_MODES each block is transformed, int32, from the volume's filter and the block's mode."""
    return filter_index * N_MODES + modes
