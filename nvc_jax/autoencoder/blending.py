"""Blending of the margins of neighbouring blocks (paper, section 2.3)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def blend_window(block_size: int, margin: int) -> np.ndarray:
    """Compute the weights of a block's voxels along one axis: a trapezoid.

    The weights rise linearly over the 2·margin voxels that two neighbours share. For
    margin ≤ block_size / 2 the weights of overlapping blocks sum to one.

    Returns:
        float32 (block_size + 2·margin,), in (0, 1].
    """
    side = block_size + 2 * margin
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    return np.minimum(1, distance / max(2 * margin, 1)).astype(np.float32)


def blend_neighbours(
    current: jax.Array,
    previous_tail: jax.Array,
    next_head: jax.Array,
    has_previous: jax.Array,
    has_next: jax.Array,
    margin: int,
    axis: int,
) -> jax.Array:
    """Interpolate the cores of blocks with the margins of their two neighbours along ``axis``.

    Args:
        current: blocks, block_size + 2·margin voxels along ``axis``.
        previous_tail: last ``margin`` voxels of the previous blocks; they overlap the core's first voxels.
        next_head: first ``margin`` voxels of the next blocks; they overlap the core's last voxels.
        has_previous: bool, true where the previous block exists; rank of ``current``, broadcastable.
        has_next: bool, true where the next block exists; likewise.
        margin: width of the margin in voxels.
        axis: the voxel axis.

    Returns:
        The blended cores, block_size voxels along ``axis``.
    """
    block_size = current.shape[axis] - 2 * margin
    window = blend_window(block_size, margin)
    weight_dtype = jnp.dtype(jnp.float32) if jnp.issubdtype(current.dtype, jnp.integer) else current.dtype

    def along_axis(weights: np.ndarray) -> jax.Array:
        sides = [1] * current.ndim
        sides[axis] = block_size
        return jnp.asarray(weights, weight_dtype).reshape(sides)

    zeros = np.zeros(block_size - margin, np.float32)
    core_weight = along_axis(window[margin : margin + block_size])
    previous_weight = along_axis(np.concatenate([window[block_size + margin :], zeros]))
    next_weight = along_axis(np.concatenate([zeros, window[:margin]]))
    previous_weight = previous_weight * has_previous.astype(weight_dtype)
    next_weight = next_weight * has_next.astype(weight_dtype)
    total = core_weight + previous_weight + next_weight

    core = lax.slice_in_dim(current, margin, margin + block_size, axis=axis)
    gap = block_size - margin
    from_previous = _weighted_difference(
        core, _pad_axis(previous_tail, 0, gap, axis), previous_weight / total
    )
    from_next = _weighted_difference(core, _pad_axis(next_head, gap, 0, axis), next_weight / total)
    return core + from_previous + from_next


def blend_axis(blocks: jax.Array, margin: int, grid_axis: int, voxel_axis: int) -> jax.Array:
    """Blend neighbouring blocks along one axis.

    Args:
        blocks: array with at least the two axes below.
        margin: width of the margin in voxels.
        grid_axis: axis of the block grid along which neighbours meet.
        voxel_axis: axis of the voxels in the same direction, block_size + 2·margin long.

    Returns:
        The blended cores, block_size voxels along ``voxel_axis``.
    """
    n, side = blocks.shape[grid_axis], blocks.shape[voxel_axis]
    sides = [1] * blocks.ndim
    sides[grid_axis] = n
    index = jnp.arange(n).reshape(sides)
    tail = lax.slice_in_dim(blocks, side - margin, side, axis=voxel_axis)
    head = lax.slice_in_dim(blocks, 0, margin, axis=voxel_axis)
    return blend_neighbours(
        blocks,
        _shift(tail, 1, grid_axis),
        _shift(head, -1, grid_axis),
        index > 0,
        index < n - 1,
        margin,
        voxel_axis,
    )


def _weighted_difference(core: jax.Array, other: jax.Array, weight: jax.Array) -> jax.Array:
    """Compute weight · (other − core) in the core's dtype; it is exactly zero where the two agree."""
    if not jnp.issubdtype(core.dtype, jnp.integer):
        return weight * (other - core)
    difference = weight * (other.astype(weight.dtype) - core.astype(weight.dtype))
    # The cast goes through int32, so that a negative difference wraps around in unsigned dtypes.
    return jnp.round(difference).astype(jnp.int32).astype(core.dtype)


def _pad_axis(array: jax.Array, low: int, high: int, axis: int) -> jax.Array:
    """Pad ``axis`` with zeros; a negative width removes entries."""
    widths = [(0, 0, 0)] * array.ndim
    widths[axis] = (low, high, 0)
    return lax.pad(array, jnp.zeros((), array.dtype), widths)


def _shift(array: jax.Array, by: int, axis: int) -> jax.Array:
    """Move entries along ``axis`` by 1 or -1; the vacated entry is zero."""
    return _pad_axis(array, by, -by, axis)
