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
    has_previous: jax.Array | np.ndarray,
    has_next: jax.Array | np.ndarray,
    margin: int,
    axis: int,
) -> jax.Array:
    """Interpolate the cores of blocks with the margins of their two neighbours along ``axis``.

    Args:
        current: blocks, block_size + 2·margin voxels along ``axis``.
        previous_tail: last ``margin`` voxels of the previous blocks; they overlap the core's first voxels.
        next_head: first ``margin`` voxels of the next blocks; they overlap the core's last voxels.
        has_previous: bool, true where the previous block exists; rank of ``current``, broadcastable. Weights
            are constants of the program if this and ``has_next`` are arrays of NumPy.
        has_next: bool, true where the next block exists; likewise.
        margin: width of the margin in voxels.
        axis: the voxel axis.

    Returns:
        The blended cores, block_size voxels along ``axis``.
    """
    block_size = current.shape[axis] - 2 * margin
    weight_dtype = jnp.dtype(jnp.float32) if jnp.issubdtype(current.dtype, jnp.integer) else current.dtype
    previous_weight, next_weight = neighbour_weights(
        block_size, margin, has_previous.astype(weight_dtype), has_next.astype(weight_dtype), axis
    )

    core = lax.slice_in_dim(current, margin, margin + block_size, axis=axis)
    gap = block_size - margin
    from_previous = _weighted_difference(core, _pad_axis(previous_tail, 0, gap, axis), previous_weight)
    from_next = _weighted_difference(core, _pad_axis(next_head, gap, 0, axis), next_weight)
    return core + from_previous + from_next


def neighbour_weights(
    block_size: int,
    margin: int,
    has_previous: jax.Array | np.ndarray,
    has_next: jax.Array | np.ndarray,
    axis: int,
) -> tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]:
    """Compute the weights of both neighbours in the voxels of a core along ``axis``.

    Args:
        block_size: side of the core in voxels.
        margin: width of the margin in voxels.
        has_previous: 1 where the previous block exists, else 0, in the dtype of the weights; one voxel along
            ``axis``.
        has_next: of the next block, likewise.
        axis: the voxel axis.

    Returns:
        Weights of the previous and of the next block; that of the core itself is the rest to 1.
    """
    window, sides = blend_window(block_size, margin), [1] * has_previous.ndim
    sides[axis] = block_size

    def along_axis(weights: np.ndarray) -> np.ndarray:
        return weights.astype(has_previous.dtype).reshape(sides)

    zeros = np.zeros(block_size - margin, np.float32)
    previous_weight = along_axis(np.concatenate([window[block_size + margin :], zeros])) * has_previous
    next_weight = along_axis(np.concatenate([zeros, window[:margin]])) * has_next
    total: jax.Array | np.ndarray = along_axis(window[margin : margin + block_size])
    total = total + previous_weight + next_weight
    return previous_weight / total, next_weight / total


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
    index = np.arange(n).reshape(sides)
    tail = lax.slice_in_dim(blocks, side - margin, side, axis=voxel_axis)
    head = lax.slice_in_dim(blocks, 0, margin, axis=voxel_axis)
    return blend_neighbours(
        blocks,
        shift(tail, 1, grid_axis),
        shift(head, -1, grid_axis),
        index > 0,
        index < n - 1,
        margin,
        voxel_axis,
    )


def _weighted_difference(core: jax.Array, other: jax.Array, weight: jax.Array | np.ndarray) -> jax.Array:
    """Compute weight · (other − core) in the core's dtype; it is exactly zero where the two agree."""
    if not jnp.issubdtype(core.dtype, jnp.integer):
        return (other - core) * weight
    difference = weight * (other.astype(weight.dtype) - core.astype(weight.dtype))
    # The cast goes through int32, so that a negative difference wraps around in unsigned dtypes.
    return jnp.round(difference).astype(jnp.int32).astype(core.dtype)


def _pad_axis(array: jax.Array, low: int, high: int, axis: int) -> jax.Array:
    """Pad ``axis`` with zeros; a negative width removes entries."""
    widths = [(0, 0, 0)] * array.ndim
    widths[axis] = (low, high, 0)
    return lax.pad(array, jnp.zeros((), array.dtype), widths)


def shift(array: jax.Array, by: int, axis: int) -> jax.Array:
    """Move entries along ``axis`` to indices that are larger by ``by``; the vacated entries are zero."""
    return _pad_axis(array, by, -by, axis)
