"""Cost of DC, the means of segments along all three axes, with any lengths of segments.

DC is coded as differences, along the axes along which they are cheapest (see ``dc_prediction``). With short
segments there is much of it, and in smooth volumes it takes most of the bits. It does not depend on the
filters, which keep means nearly as they are, so the sums of blocks tell it.
"""

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
    z, y, x = (
        _predictors(n, valid_shape[axis], lengths[axis]) for axis, n in enumerate(check_shape(sums.shape))
    )
    differences = jnp.einsum("paz,qby,rcx,zyx->pqrabc", z, y, x, sums, precision=lax.Precision.HIGHEST)
    return jnp.min(jnp.sum(estimate_cost(differences, step), axis=(3, 4, 5)))


def _predictors(n: int, valid: jax.Array, length_index: jax.Array) -> jax.Array:
    """Compute the matrices from sums of the n blocks of an axis to DC, and to its differences.

    Returns:
        float32 (2, n, n); rows of blocks that are not the first ones of segments are 0.
    """
    segments = divide_axis(n * BLOCK_SIZE, valid, length_index)
    start, n_voxels = segments.start[::BLOCK_SIZE] // BLOCK_SIZE, segments.length[::BLOCK_SIZE]
    block = jnp.arange(n, dtype=jnp.int32)
    is_start = ((start == block) & (block * BLOCK_SIZE < valid))[:, None]
    dc = (block[:, None] == start[None]).astype(jnp.float32) / jnp.sqrt(n_voxels.astype(jnp.float32))[:, None]
    dc = jnp.where(is_start, dc, 0)
    # All segments but the last one are equally long.
    previous = block - jnp.array(SEGMENT_LENGTHS, jnp.int32)[length_index] // BLOCK_SIZE
    before = jnp.where(is_start & (previous >= 0)[:, None], dc[jnp.maximum(previous, 0)], 0)
    return jnp.stack([dc, dc - before])
