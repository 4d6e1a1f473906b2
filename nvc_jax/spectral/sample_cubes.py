"""Sample cubes: a few parts of a volume by which the encoder judges choices for all of it."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

CUBE_SIDE = 32
"""Largest side of a cube in voxels: two superblocks, so that the filter also crosses a border inside."""
MAX_CUBES = 6
"""Largest number of cubes of a volume: they bound the time of the decision, whatever the volume's size.
No measurement of the value is on record."""

_SUPERBLOCK_SIDE = 2 * BLOCK_SIZE


class SampleCubes(NamedTuple):
    """Cubes of a volume.

    Attributes:
        tower: float32 (n · side, side, side), the cubes one above the other along z.
        valid_shapes: int32 (n, 3), voxels of each cube along z, y, x that lie in the volume.
        weights: float32 (n,), the number of cubes of the volume that each represents.
    """

    tower: jax.Array
    valid_shapes: jax.Array
    weights: jax.Array


def draw_cubes(volume: jax.Array, step: jax.Array, valid_shape: jax.Array) -> SampleCubes:
    """Take all cubes of a small volume, or draw a few of a large one, the likelier the more active they are.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of the quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
    """
    shape = check_shape(volume.shape)
    sides = check_shape(tuple(min(CUBE_SIDE, length) for length in shape))
    corners = cube_corners(shape, sides)
    n = len(corners)
    if n <= MAX_CUBES:
        drawn, weights = jnp.arange(n), jnp.ones(n)
    else:
        is_inside = jnp.all(jnp.asarray(corners, jnp.int32) < valid_shape[None], axis=1)
        drawn, weights = draw_systematic(_activity(volume, step, corners, sides), is_inside, MAX_CUBES)
    starts = jnp.asarray(corners, jnp.int32)[drawn]
    cubes = jax.vmap(lambda start: lax.dynamic_slice(volume, start, sides))(starts)
    valid_shapes = jnp.clip(valid_shape[None] - starts, 0, jnp.array(sides, jnp.int32)[None])
    return SampleCubes(cubes.reshape(-1, *sides[1:]), valid_shapes, weights)


def cube_corners(shape: Shape3, sides: Shape3) -> np.ndarray:
    """List the first voxels of cubes that cover a volume, int (n, 3); all lie on borders of superblocks.

    Args:
        shape: (z, y, x) of the volume; the rest of an incomplete superblock need not be covered.
        sides: (z, y, x) of a cube, at most the volume's.
    """
    starts = []
    for length, side in zip(shape, sides, strict=True):
        last = (length - side) // _SUPERBLOCK_SIDE * _SUPERBLOCK_SIDE
        starts.append(sorted({*range(0, last + 1, side), last}))
    return np.array(list(itertools.product(*starts)))


def _activity(volume: jax.Array, step: jax.Array, corners: np.ndarray, sides: Shape3) -> jax.Array:
    """Count in each cube, float32 (n,), the neighbours along x that differ by more than a step."""
    is_steep = jnp.abs(jnp.diff(volume, axis=2, append=volume[:, :, -1:])) > step
    z, y, x = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    by_block = jnp.sum(
        is_steep.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE), axis=(1, 3, 5), dtype=jnp.float32
    )
    blocks = [side // BLOCK_SIZE for side in sides]
    return jax.vmap(lambda corner: jnp.sum(lax.dynamic_slice(by_block, corner, blocks)))(
        corners // BLOCK_SIZE
    )
