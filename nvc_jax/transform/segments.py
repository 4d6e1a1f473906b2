"""Segments: the division of an axis into the runs of voxels that one DCT each transforms.

All segments of an axis have the length that its header names, but for the last one: it takes the rest of the
axis, from half that length up to one and a half. So every axis, however long, has as many coefficients as
voxels.

Coefficients are stored in *blocks* of eight a side, whatever the length of segments, so that one entropy
model serves all lengths. A segment of m blocks deals its frequencies out to its blocks in turn: the first
block gets the frequencies 0, m, 2m …, the second 1, m + 1, 2m + 1 …. So each block looks like that of a
segment of eight voxels. The last block of an axis may be *partial*: it has as many coefficients as voxels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_layout import BLOCK_SIZE

SEGMENT_LENGTHS = (8, 16, 32, 64, 128)
"""Lengths of segments that a stream can name, by their index."""
_SHIFTS = (3, 4, 5, 6, 7)
"""Their logarithms."""
_BLOCK_SHIFT = 3
"""Logarithm of BLOCK_SIZE."""


MAX_LENGTH = SEGMENT_LENGTHS[-1] * 3 // 2
"""Largest length of a segment: that of the last one of an axis."""


class Segments(NamedTuple):
    """Segments of one axis, by voxel and by coefficient.

    Attributes:
        start: int32 (side,), first voxel of each voxel's segment.
        length: int32 (side,), number of voxels of each voxel's segment.
        is_last: bool (side,), whether a voxel's segment is the last one.
        coefficient_start: int32 (side,), first voxel of each coefficient's segment.
        coefficient_length: int32 (side,), number of voxels of each coefficient's segment.
        frequency: int32 (side,), each coefficient's frequency in its segment.
        valid: int32, number of voxels and of coefficients that exist: the first ones.
    """

    start: jax.Array
    length: jax.Array
    is_last: jax.Array
    coefficient_start: jax.Array
    coefficient_length: jax.Array
    frequency: jax.Array
    valid: jax.Array


def divide_axis(side: int, valid: jax.Array, length_index: jax.Array) -> Segments:
    """Divide an axis into segments.

    Args:
        side: voxels of the axis, padding included, a multiple of 8; static.
        valid: int32, voxels of the axis that count: the first ones, at least one.
        length_index: int32, of SEGMENT_LENGTHS.

    Returns:
        The segments. Entries of voxels and coefficients from ``valid`` on have no meaning.
    """
    # Shifts and constants, not divisions: they compile much faster.
    length = jnp.array(SEGMENT_LENGTHS, jnp.int32)[length_index]
    shift = jnp.array(_SHIFTS, jnp.int32)[length_index]
    last = jnp.maximum((2 * valid + length) >> (shift + 1), 1) - 1
    last_length = valid - (last << shift)

    def locate(voxel: np.ndarray | jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        segment = jnp.minimum(voxel >> shift, last)
        return segment << shift, jnp.where(segment == last, last_length, length), segment == last

    index = np.arange(side, dtype=np.int32)
    block, position = index // BLOCK_SIZE, index % BLOCK_SIZE
    coefficient_start, coefficient_length, in_last = locate(block * BLOCK_SIZE)

    # Blocks take turns, until the partial one, the last of its segment, has all its coefficients.
    first_block = coefficient_start >> _BLOCK_SHIFT
    n_all_blocks = (valid + BLOCK_SIZE - 1) >> _BLOCK_SHIFT
    n_blocks = jnp.where(in_last, n_all_blocks - first_block, length >> _BLOCK_SHIFT)
    turn = block - first_block
    n_turns_of_all = jnp.where(in_last, ((valid - 1) & (BLOCK_SIZE - 1)) + 1, BLOCK_SIZE)
    late = jnp.maximum(position - n_turns_of_all, 0)
    frequency = n_blocks * (position - late) + (n_blocks - 1) * late + turn
    return Segments(*locate(index), coefficient_start, coefficient_length, frequency, valid)
