"""Boundary pre-emphasis: smaller errors at chunk boundaries, so that no seam shows between chunks.

Chunks decode independently. The lapped filter stops at their boundaries, and the errors on both sides are
unrelated, which shows as a plane in smooth data. So before the transform the four voxels next to such a
boundary are *emphasised* along the axis across it. After the inverse transform they are *de-emphasised*, and
their errors shrink with them: the squared error of a voxel at the boundary weighs four times as much as
elsewhere, and that of the voxel behind it twice as much. The mean of the four voxels does not change. Errors
of the block's other voxels shrink, too, so pre-emphasis takes few bits.

The boundaries of a chunk are six bits of an integer: bits 0 and 1 for those before and after it along z, then
two bits for y and two for x.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.dct import dct_matrix
from nvc_jax.transform.planar_blocks import BLOCK_SIZE, N_COEFFICIENTS, mix_layers

ALL_BOUNDARIES = 0b111111
"""Boundaries of a chunk that has neighbours on all six sides."""
_REACH = 4
"""Voxels next to a boundary that are emphasised."""
_SQUARED_ERROR_WEIGHTS = (4, 2, 1, 1, 1, 1, 1, 1)
"""Weight of the squared error of each voxel of a block, by its distance from the boundary."""
_FREQUENCY_MIX = ((1.179, 0.434, 0.226), (-0.067, 1.092, 0.577), (-0.022, -0.286, 0.987))
"""Matrix that emphasis applies to the frequencies 1 to 3 of the four voxels.

It minimises the rate for the weights above, averaged over blocks of 8 and 16, of an AR(1) process of
correlation 0.95.
"""


class _Tables(NamedTuple):
    """Matrices of emphasis.

    Attributes:
        emphasis: float32 (4, 4), for the voxels by their distance from the boundary.
        deemphasis: float32 (4, 4), its inverse.
        weights: float32 (8,), scale of each frequency across the boundary that makes squared errors weigh as
            in _SQUARED_ERROR_WEIGHTS.
    """

    emphasis: np.ndarray
    deemphasis: np.ndarray
    weights: np.ndarray


@functools.cache
def _tables() -> _Tables:
    """Compute the matrices of emphasis from _FREQUENCY_MIX and _SQUARED_ERROR_WEIGHTS."""
    mix = np.eye(_REACH)
    mix[1:, 1:] = _FREQUENCY_MIX
    emphasis = dct_matrix(_REACH).T @ mix @ dct_matrix(_REACH)
    synthesis = dct_matrix(BLOCK_SIZE).T
    synthesis[:_REACH] = np.linalg.inv(emphasis) @ synthesis[:_REACH]
    weights = np.sqrt(np.array(_SQUARED_ERROR_WEIGHTS) @ synthesis**2)
    deemphasis = np.linalg.inv(emphasis)
    return _Tables(emphasis.astype(np.float32), deemphasis.astype(np.float32), weights.astype(np.float32))


def _has_boundary(boundaries: jax.Array, axis: int, side: int) -> jax.Array:
    """Read the bit of the boundary before (``side`` 0) or after (1) the chunk along an axis."""
    return boundaries >> (2 * axis + side) & 1 == 1


def _map_boundaries(volume: jax.Array, boundaries: jax.Array, matrix: np.ndarray) -> jax.Array:
    """Multiply a matrix with the four layers next to each boundary."""
    for axis, length in enumerate(volume.shape):
        for side, inwards in enumerate((matrix, matrix[::-1, ::-1])):
            # No branch: one that returns the volume unchanged would copy it.
            identity = np.eye(_REACH, dtype=np.float32)
            chosen = jnp.where(_has_boundary(boundaries, axis, side), inwards, identity)
            volume = mix_layers(volume, chosen, side * (length - _REACH), axis)
    return volume


def emphasize(volume: jax.Array, boundaries: jax.Array) -> jax.Array:
    """Emphasise the voxels next to chunk boundaries.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        boundaries: int32, bits of the boundaries at which the chunk meets others.
    """
    return _map_boundaries(volume, boundaries, _tables().emphasis)


def deemphasize(volume: jax.Array, boundaries: jax.Array) -> jax.Array:
    """Undo ``emphasize``."""
    return _map_boundaries(volume, boundaries, _tables().deemphasis)


def boundary_weights(grid: Shape3, boundaries: jax.Array) -> jax.Array:
    """Compute the scale of each coefficient that makes errors next to boundaries weigh more.

    Args:
        grid: blocks along z, y, x; static.
        boundaries: int32, bits of the boundaries at which the chunk meets others.

    Returns:
        float32 (n, 512), 1 in blocks away from the boundaries. Does not apply to DC, whose weight is 1
        (see ``error_weights``).
    """
    by_axis = []
    for axis, length in enumerate(grid):
        index = jnp.arange(length)
        weights = []
        for side in range(2):
            is_next = _has_boundary(boundaries, axis, side) & (index == side * (length - 1))
            weights.append(jnp.where(is_next[:, None], _tables().weights[None], jnp.float32(1)))
        by_axis.append(weights[0] * weights[1])
    return jnp.einsum("ai,bj,ck->abcijk", *by_axis).reshape(-1, N_COEFFICIENTS)
