"""Cost of DC, the means of segments along all three axes, with any lengths of segments.

DC is coded as differences, along the axes along which they are cheapest (see ``dc_prediction``). With short
segments there is much of it, and in smooth volumes it takes most of the bits. It does not depend on the
filters, which keep means nearly as they are, so the sums of blocks tell it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.spectral.line_costs import estimate_cost
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.segments import SEGMENT_LENGTHS, divide_axis


def sum_blocks(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """Sum the voxels of each block that lie in the volume: float32 (z, y, x) of the grid of blocks.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
    """
    is_inside = jnp.ones(volume.shape, bool)
    for axis in range(3):
        is_inside &= lax.broadcasted_iota(jnp.int32, volume.shape, axis) < valid_shape[axis]
    z, y, x = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    cut = jnp.where(is_inside, volume, 0).reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE)
    return jnp.sum(cut, axis=(1, 3, 5))


def cost_of_dc(sums: jax.Array, step: jax.Array, valid_shape: jax.Array, lengths: jax.Array) -> jax.Array:
    """Estimate the cost of DC in bits and error, float32, by the predictor that is cheapest.

    Args:
        sums: float32 (z, y, x), from ``sum_blocks``.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        lengths: int32 (3,), of SEGMENT_LENGTHS.
    """
    shape = check_shape(sums.shape)
    axes = [_divide_blocks(n, valid_shape[axis], lengths[axis]) for axis, n in enumerate(shape)]
    z, y, x = (axis.membership for axis in axes)
    dc = jnp.einsum("az,by,cx,zyx->abc", z, y, x, sums, precision=lax.Precision.HIGHEST)
    n_voxels = jnp.ones((), jnp.float32)
    is_dc = jnp.ones(shape, bool)
    for number, axis in enumerate(axes):
        n_voxels = n_voxels * _along(axis.n_voxels, number)
        is_dc &= _along(axis.is_start, number)
    differences = [jnp.where(is_dc, dc / jnp.sqrt(n_voxels), 0)]
    for number, axis in enumerate(axes):
        differences += [_take_differences(own, axis.previous, number) for own in differences]
    costs = [jnp.sum(jnp.where(is_dc, estimate_cost(own, step), 0)) for own in differences]
    return jnp.min(jnp.stack(costs))


class _Division(NamedTuple):
    """Division of the n blocks of an axis into segments.

    Attributes:
        membership: float32 (n, n), 1 for the first block of a segment and each of its blocks.
        n_voxels: float32 (n,), voxels of a block's segment.
        is_start: bool (n,), whether a block is the first of a segment.
        previous: int32 (n,), first block of the segment before; negative if there is none.
    """

    membership: jax.Array
    n_voxels: jax.Array
    is_start: jax.Array
    previous: jax.Array


def _divide_blocks(n: int, valid: jax.Array, length_index: jax.Array) -> _Division:
    """Divide the blocks of an axis into segments."""
    segments = divide_axis(n * BLOCK_SIZE, valid, length_index)
    start = segments.start[::BLOCK_SIZE] // BLOCK_SIZE
    block = jnp.arange(n, dtype=jnp.int32)
    blocks_of_segment = jnp.array(SEGMENT_LENGTHS, jnp.int32)[length_index] // BLOCK_SIZE
    return _Division(
        membership=(block[:, None] == start[None]).astype(jnp.float32),
        n_voxels=segments.length[::BLOCK_SIZE].astype(jnp.float32),
        is_start=(start == block) & (block * BLOCK_SIZE < valid),
        previous=block - blocks_of_segment,
    )


def _along(values: jax.Array, axis: int) -> jax.Array:
    """Shape values (n,) so that they vary along an axis of a grid."""
    return values.reshape([-1 if other == axis else 1 for other in range(3)])


def _take_differences(grid: jax.Array, previous: jax.Array, axis: int) -> jax.Array:
    """Take differences along an axis; the first DC along it stays."""
    taken = jnp.take(grid, jnp.maximum(previous, 0), axis=axis)
    return grid - jnp.where(_along(previous, axis) >= 0, taken, 0)
