"""Kernel of GPUs that reads a volume once for its range and the sums of its blocks.

``volume_survey`` has the specification. The range is not known before all voxels are read, so sums are those
of differences from one voxel.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.group_kernels import load_where, run_tiles, store_where, this_tile, tile_indices, tile_side
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.separable import Original

_LARGEST_TILE = 128
"""Largest length of a tile along x."""
_WARPS = 4
_PRESCALE = 2.0**-11
"""Factor of differences, so that the sum over a block cannot overflow."""


def survey(volume: jax.Array, *, interpret: bool = False) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Find the finite range of a volume, and sums of blocks; see ``volume_survey.survey``."""
    z, y, x = check_shape(tuple(side + -side % BLOCK_SIZE for side in volume.shape))
    grid = grid_shape((z, y, x), BLOCK_SIZE)
    minima, maxima, sums = run_tiles(
        _survey_tile,
        (grid[0], grid[1], -(-x // tile_side(x, _LARGEST_TILE))),
        [jax.ShapeDtypeStruct(grid, jnp.float32)] * 3,
        volume,
        n_warps=_WARPS,
        interpret=interpret,
    )
    minimum, maximum = _find_limits(minima, maxima)
    is_empty = minimum > maximum
    minimum, maximum = (jnp.where(is_empty, 0.0, limit) for limit in (minimum, maximum))
    return (minimum, maximum), _scale_sums(Original(volume, minimum, maximum), sums)


def _find_limits(minima: jax.Array, maxima: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Find the least and the largest of numbers by one reduction: one kernel of GPUs."""

    def widen(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
        return jnp.minimum(one[0], other[0]), jnp.maximum(one[1], other[1])

    none = (np.float32(np.inf), np.float32(-np.inf))
    least, largest = lax.reduce((minima, maxima), none, widen, (0, 1, 2))
    return least, largest


def _scale_sums(original: Original, sums: jax.Array) -> jax.Array:
    """Make sums of scaled voxels of the sums of differences from the first voxel, float32 of the grid."""
    minimum, maximum = original.minimum, original.maximum
    width = maximum * np.float32(_PRESCALE) - minimum * np.float32(_PRESCALE)
    scale = jnp.where(width >= jnp.finfo(jnp.float32).tiny, 1 / width, 0)
    counts = jnp.float32(1)
    for axis, side in enumerate(original.volume.shape):
        first = lax.broadcasted_iota(jnp.int32, sums.shape, axis) * BLOCK_SIZE
        counts = counts * jnp.minimum(side - first, BLOCK_SIZE).astype(jnp.float32)
    return sums * scale + counts * original.scaled(_first_of(original.volume[0, 0, 0]))


def _first_of(voxel: jax.Array) -> jax.Array:
    """Get the number from which differences are taken: the first voxel, or 0 if it is not finite."""
    number = voxel.astype(jnp.float32)
    return jnp.where(jnp.abs(number) < np.float32(np.inf), number, 0)


def _survey_tile(volume: Any, minima: Any, maxima: Any, sums: Any) -> None:
    """Survey a tile of one block along z and y, and of several along x."""
    block_z, block_y, tile_x = this_tile(3)
    length = tile_side(minima.shape[2] * BLOCK_SIZE, _LARGEST_TILE)
    y, x = tile_indices(block_y, BLOCK_SIZE), tile_indices(tile_x, length)
    y, x = (jnp.broadcast_to(index, (BLOCK_SIZE, length)) for index in (y[:, None], x[None]))
    first = _first_of(volume[0, 0, 0]) * np.float32(_PRESCALE)

    def add(plane: jax.Array, so_far: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        z = jnp.full_like(y, block_z * BLOCK_SIZE + plane)
        exists = (z < volume.shape[0]) & (y < volume.shape[1]) & (x < volume.shape[2])
        voxels = load_where(volume, (z, y, x), exists).astype(jnp.float32)
        is_finite = exists & (jnp.abs(voxels) < np.float32(np.inf))
        difference = jnp.where(is_finite, voxels * np.float32(_PRESCALE) - first, 0)
        smallest, largest, total = so_far
        return (
            jnp.minimum(smallest, jnp.where(is_finite, voxels, np.float32(np.inf))),
            jnp.maximum(largest, jnp.where(is_finite, voxels, np.float32(-np.inf))),
            total + difference,
        )

    limits = [jnp.full(y.shape, limit, jnp.float32) for limit in (np.inf, -np.inf, 0)]
    smallest, largest, total = lax.fori_loop(0, BLOCK_SIZE, add, tuple(limits))
    block_x = tile_indices(tile_x, length // BLOCK_SIZE)
    index = [jnp.full_like(block_x, block_z), jnp.full_like(block_x, block_y), block_x]
    for memory, of_voxels, reduce in (
        (minima, smallest, jnp.min),
        (maxima, largest, jnp.max),
        (sums, total, jnp.sum),
    ):
        of_blocks = reduce(reduce(of_voxels, axis=0).reshape(-1, BLOCK_SIZE), axis=1)
        store_where(memory, index, of_blocks, block_x < memory.shape[2])
