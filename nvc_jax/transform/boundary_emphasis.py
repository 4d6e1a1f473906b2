"""Boundary pre-emphasis: smaller errors at chunk boundaries, so that no seam shows between chunks.

Chunks decode independently. The lapped filter stops at their boundaries, and the errors on both sides are
unrelated, which shows as a plane in smooth data. So before the transform the four voxels next to such a
boundary are *emphasised* along the axis across it. After the inverse transform they are *de-emphasised*, and
their errors shrink with them: the squared error of a voxel at the boundary weighs four times as much as
elsewhere, and that of the voxel behind it twice as much. The mean of the four voxels does not change. Errors
of the segment's other voxels shrink, too, so pre-emphasis takes few bits.

The boundaries of a chunk are six bits of an integer: bits 0 and 1 for those before and after it along z, then
two bits for y and two for x. Voxels are emphasised only where all four of them lie in the volume.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.dct import dct_matrix

ALL_BOUNDARIES = 0b111111
"""Boundaries of a chunk that has neighbours on all six sides."""
_REACH = 4
"""Voxels next to a boundary that are emphasised."""
SQUARED_ERROR_WEIGHTS = (4, 2, 1, 1)
"""Weight of the squared error of each of these voxels, by its distance from the boundary."""
_FREQUENCY_MIX = ((1.179, 0.434, 0.226), (-0.067, 1.092, 0.577), (-0.022, -0.286, 0.987))
"""Matrix that emphasis applies to the frequencies 1 to 3 of the four voxels.

It minimises the rate for the weights above, averaged over blocks of 8 and 16, of an AR(1) process of
correlation 0.95.
"""


@functools.cache
def emphasis_matrix() -> np.ndarray:
    """Compute the matrix of emphasis for the four voxels by their distance from the boundary, float64."""
    mix = np.eye(_REACH)
    mix[1:, 1:] = _FREQUENCY_MIX
    return dct_matrix(_REACH).T @ mix @ dct_matrix(_REACH)


def boundaries_to_emphasize(shape: Shape3, valid_shape: jax.Array, boundaries: jax.Array) -> jax.Array:
    """Clear the bits of boundaries next to which there are fewer than four voxels.

    Args:
        shape: (z, y, x), sides multiples of 8; static.
        valid_shape: int32 (3,), voxels along z, y, x that count.
        boundaries: int32, bits of the boundaries at which the chunk meets others.
    """
    kept = jnp.int32(0)
    for axis, side in enumerate(shape):
        has_room = (valid_shape[axis] >= _REACH, valid_shape[axis] == side)
        for end in range(2):
            kept += jnp.where(has_room[end], boundaries & (1 << (2 * axis + end)), 0)
    return kept


@functools.cache
def corner_matrices() -> np.ndarray:
    """Compute the matrices at the ends of an axis, float32 (2, 2, 4, 4).

    First those that emphasise the first four voxels and the last four, and then those that undo that.
    """
    matrix = emphasis_matrix()
    corners = [[corner, corner[::-1, ::-1]] for corner in (matrix, np.linalg.inv(matrix))]
    return np.array(corners, np.float32)


def emphasis_corners(boundaries: jax.Array, axis: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Compute the matrices that emphasise the voxels of an axis, and those that undo that.

    Args:
        boundaries: int32, bits of the boundaries at which the chunk meets others.
        axis: 0, 1, 2 for z, y, x.

    Returns:
        float32 (2, 4, 4) both, of the first four voxels and of the last four.
    """
    has_boundary = jnp.stack([_has_boundary(boundaries, axis, end) for end in range(2)])[:, None, None]
    emphasizing, undoing = (
        jnp.where(has_boundary, corners, np.eye(_REACH, dtype=np.float32)) for corners in corner_matrices()
    )
    return emphasizing, undoing


def squared_error_weights(side: int, boundaries: jax.Array, axis: jax.Array | int) -> jax.Array:
    """Compute the weight of the squared error of each voxel of an axis, float32 (side,)."""
    near, far = np.array(SQUARED_ERROR_WEIGHTS, np.float32), np.ones(side - _REACH, np.float32)
    at_ends = (np.concatenate([near, far]), np.concatenate([far, near[::-1]]))
    start, end = (
        jnp.where(_has_boundary(boundaries, axis, number), weights, jnp.float32(1))
        for number, weights in enumerate(at_ends)
    )
    return start * end


def _has_boundary(boundaries: jax.Array, axis: jax.Array | int, end: int) -> jax.Array:
    """Read the bit of the boundary before (``end`` 0) or after (1) the chunk along an axis."""
    return boundaries >> (2 * axis + end) & 1 == 1
