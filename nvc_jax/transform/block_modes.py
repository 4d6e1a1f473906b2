"""What lies where in a volume of blocks: regions and their modes, and the blocks at its far faces.

A *region* is 2 × 2 × 2 blocks, 16³ voxels. Its *mode* says whether the filter crosses the borders of its
blocks, and whether they are eight or one. Sides need not be multiples of 8: the last block along an axis may
be *short*, and is stretched to 8 voxels of which only as many frequencies exist as it has voxels, so that
nothing is coded that is not in the volume.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blocks import Shape3, check_shape
from nvc_jax.transform.block_dct import BLOCK, N_LATENTS, dct_matrix, map_layers
from nvc_jax.transform.lapped import FILTERS, Plan

PLAIN, LAPPED, LARGE = range(3)
N_MODES = 3
"""Modes of a region: blocks that end at their borders, blocks that the filter joins, one such 16³ block."""

N_WAYS = len(FILTERS) * N_MODES
"""Ways in which a block may be transformed: by filter and mode."""


class Layout(NamedTuple):
    """Blocks of a grid and which of them there are; n blocks, in z, y, x order.

    Attributes:
        extent: int32 (3,), voxels of the volume along z, y, x: at most the grid's.
        present: bool (n,), whether there is the block.
        order: int32 (n,), the blocks that there are, in z, y, x order, then the others.
        n_blocks: int32, how many there are.
        kind: int32 (n,), 4, 2 and 1 added up where the block is short along z, y, x.
        leads: bool (n,), the block is the first of its region.
    """

    extent: jax.Array
    present: jax.Array
    order: jax.Array
    n_blocks: jax.Array
    kind: jax.Array
    leads: jax.Array


def _indices(grid: Shape3) -> list[jax.Array]:
    """Each block's index along z, y, x; int32, shaped to broadcast over the grid."""
    return [lax.broadcasted_iota(jnp.int32, grid, axis) for axis in range(3)]


def make_layout(grid: Shape3, extent: jax.Array) -> Layout:
    """The layout of a volume of ``extent`` voxels, int32 (3,), in a grid that holds it."""
    present = jnp.ones(grid, bool)
    leads = jnp.ones(grid, bool)
    kind = jnp.zeros(grid, jnp.int32)
    for axis, index in enumerate(_indices(grid)):
        present &= index * BLOCK < extent[axis]
        leads &= index % 2 == 0
        kind += jnp.where((index + 1) * BLOCK > extent[axis], 4 >> axis, 0)
    present = present.reshape(-1)
    order = jnp.argsort(~present, stable=True).astype(jnp.int32)
    n_blocks = jnp.sum(present, dtype=jnp.int32)
    return Layout(extent, present, order, n_blocks, kind.reshape(-1), leads.reshape(-1))


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


def region_grid(grid: Shape3) -> Shape3:
    """Regions of a grid of blocks along each axis."""
    return check_shape(tuple(-(-side // 2) for side in grid))


def spread(regions: jax.Array, grid: Shape3) -> jax.Array:
    """Every block's value of its region: (z, y, x) from one value for each region."""
    for axis in range(3):
        regions = jnp.repeat(regions, 2, axis=axis)
    return lax.slice(regions, (0, 0, 0), grid)


def add_up(blocks: jax.Array) -> jax.Array:
    """Sums over every region of values of blocks (z, y, x)."""
    padded = jnp.pad(blocks, [(0, side % 2) for side in blocks.shape])
    z, y, x = (side // 2 for side in padded.shape)
    return jnp.sum(padded.reshape(z, 2, y, 2, x, 2), axis=(1, 3, 5))


def is_whole(grid: Shape3, extent: jax.Array) -> jax.Array:
    """Whether each region has all of its 16³ voxels: only then may it be large."""
    whole = jnp.ones(region_grid(grid), bool)
    for axis, index in enumerate(_indices(region_grid(grid))):
        whole &= (index + 1) * 2 * BLOCK <= extent[axis]
    return whole


def make_plan(modes: jax.Array, grid: Shape3, extent: jax.Array) -> Plan:
    """How the transform treats each block, from the modes of the regions, int32 (z, y, x)."""
    large = spread((modes == LARGE) & is_whole(grid, extent), grid)
    lapped = spread(modes != PLAIN, grid)
    by_axis = []
    for axis, index in enumerate(_indices(grid)):
        odd = index % 2 == 1
        first, second = large & ~odd, large & odd
        # No filter across the border of a short block: it would have more latents than voxels. Nor between
        # sizes: what the filter did inside the small one is not there in the large.
        next_is_full = (index + 2) * BLOCK <= extent[axis]
        alike = lapped & jnp.roll(lapped, -1, axis) & (large == jnp.roll(large, -1, axis))
        crossed = alike & next_is_full & ~first
        before = jnp.roll(crossed, 1, axis)
        before = jnp.where(second, jnp.roll(before, 1, axis), before)
        after = jnp.where(first, jnp.roll(crossed, -1, axis), crossed)
        by_axis.append(Plan(crossed, before, after, first, second))
    return Plan(*(jnp.stack(leaves) for leaves in zip(*by_axis, strict=True)))


def uniform_plan(mode: jax.Array | int, grid: Shape3, extent: jax.Array) -> Plan:
    """The plan in which every region has the same mode."""
    return make_plan(jnp.full(region_grid(grid), mode, jnp.int32), grid, extent)


def ways(filter_index: jax.Array, modes: jax.Array) -> jax.Array:
    """In which of N_WAYS each block is transformed, int32, from the volume's filter and the block's mode."""
    return filter_index * N_MODES + modes
