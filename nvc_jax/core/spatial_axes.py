"""Spatial axes of chunks: arrays have two to five axes, and codecs code volumes of three.

A chunk has at most four sides that are longer than 1. The last three of them are its *spatial axes*; of four,
the first is its *step axis*, such as time, along which the chunk holds several steps. Along any other axis a
chunk is one step. Its *spatial shape* has the sides along the spatial axes, in order, and as many sides of 1
in front as make three. The *coded shape* is that of the values that a codec takes: the spatial shape, and in
front of it the number of steps if there is a step axis. So both follow from the shape of the chunk alone, and
the voxels of a chunk have the same order in all shapes.
"""

import math
from collections.abc import Sequence

import tensorstore as ts

from nvc_jax.core.chunk_grid import ChunkIndex, Region
from nvc_jax.core.shapes import Shape, Shape3, check_shape

N_SPATIAL = 3
"""Spatial axes of a chunk, at most."""
MOST_LONG_SIDES = N_SPATIAL + 1
"""Sides of a chunk that are longer than 1, at most."""


def _long_axes(chunk: Sequence[int]) -> list[int]:
    """List the axes along which a chunk is longer than 1.

    Raises:
        ValueError: there are more than four.
    """
    axes = [axis for axis, side in enumerate(chunk) if side > 1]
    if len(axes) > MOST_LONG_SIDES:
        raise ValueError(
            f"a chunk of shape {tuple(chunk)} has {len(axes)} sides longer than 1; it must have at most "
            f"{MOST_LONG_SIDES}: make the sides along channel and the like 1"
        )
    return axes


def spatial_axes(chunk: Sequence[int]) -> list[int]:
    """List the spatial axes of a chunk.

    Raises:
        ValueError: the chunk has more than four sides longer than 1.
    """
    return _long_axes(chunk)[-N_SPATIAL:]


def count_steps(shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Count the steps of an array, or of a part of it, along the step axis of its chunks; 1 without one."""
    axes = _long_axes(chunk)
    return shape[axes[0]] if len(axes) > N_SPATIAL else 1


def coded_shape(shape: Sequence[int], chunk: Sequence[int]) -> Shape:
    """Return the sides of a chunk, or of a part of it, as codecs take its values.

    Args:
        shape: of the chunk or its part.
        chunk: of a whole chunk, which tells whether there is a step axis.
    """
    has_steps = count_steps(chunk, chunk) > 1
    steps = (count_steps(shape, chunk),) if has_steps else ()
    return (*steps, *spatial_shape(shape, chunk))


def spatial_shape(shape: Sequence[int], chunk: Sequence[int]) -> Shape3:
    """Return the sides of an array, or of a part of it, along the spatial axes of its chunks."""
    sides = [shape[axis] for axis in spatial_axes(chunk)]
    return check_shape((*[1] * (N_SPATIAL - len(sides)), *sides))


def spatial_region(region: Region, chunk: Sequence[int]) -> Region:
    """Return a region of one chunk or less along the spatial axes of its chunks."""
    parts = [region[axis] for axis in spatial_axes(chunk)]
    return (*[slice(0, 1)] * (N_SPATIAL - len(parts)), *parts)


def spatial_index(index: ChunkIndex, chunk: Sequence[int]) -> ChunkIndex:
    """Return the index of a chunk among those of the same step: that of ``spatial_region``."""
    numbers = [index[axis] for axis in spatial_axes(chunk)]
    return (*[0] * (N_SPATIAL - len(numbers)), *numbers)


def neighbour_index(spatial: ChunkIndex, index: ChunkIndex, chunk: Sequence[int]) -> ChunkIndex:
    """Return the index of a chunk of the same step as another one: the inverse of ``spatial_index``."""
    axes = spatial_axes(chunk)
    moved = dict(zip(axes, spatial[N_SPATIAL - len(axes) :], strict=True))
    return tuple(moved.get(axis, number) for axis, number in enumerate(index))


def spatial_volume(array: ts.TensorStore, region: Region, chunk: Sequence[int]) -> ts.TensorStore:
    """View the volume of three axes that a chunk lies in: one step of the array along all other axes."""
    axes = spatial_axes(chunk)
    volume = array[tuple(slice(None) if axis in axes else part.start for axis, part in enumerate(region))]
    return volume[(*[ts.newaxis] * (N_SPATIAL - len(axes)), ...)]


def padded_shape(spatial: Shape3, block_size: int) -> Shape3:
    """Return the shape for which a codec codes chunks: a side of 1 is filled up to a block.

    Args:
        spatial: spatial shape of a whole chunk.
        block_size: of the model.
    """
    return check_shape(tuple(block_size if side == 1 else side for side in spatial))


def piece_shape(shape: Sequence[int], chunk: Sequence[int], spatial: Sequence[int], n_voxels: int) -> Shape:
    """Return the shape of pieces that hold several steps where these are small.

    Args:
        shape: of the array.
        chunk: of its chunks.
        spatial: sides of a piece; those along axes along which chunks are one step do not count.
        n_voxels: of a piece at most, unless one step, or the steps of one chunk, have more.
    """
    axes = _long_axes(chunk)
    piece = [side if axis in axes else 1 for axis, side in enumerate(spatial)]
    room = n_voxels // math.prod(min(pair) for pair in zip(piece, shape, strict=True))
    for axis in reversed(range(len(shape))):
        if axis not in axes:
            piece[axis] = max(min(shape[axis], room), 1)
            room //= piece[axis]
    return tuple(piece)
