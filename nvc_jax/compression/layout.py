"""Shapes of the chunks and shards of a container: checked as the user names them, or chosen by default."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.core.chunk_grid import MAX_CHUNK_VOXELS
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import (
    MOST_LONG_SIDES,
    N_SPATIAL,
    count_steps,
    padded_shape,
    spatial_axes,
    spatial_shape,
)
from nvc_jax.io.axes import default_spatial_axes

CHUNK_SIDE = 128
"""Side of a chunk in voxels: larger chunks compress no better and take more memory and time to read from."""
LARGE_CHUNK_SIDE = 64
"""Side of a chunk in large volumes, of which regions are read: the eight chunks that a small region may touch
decode in about 0.1 s."""
_LONGEST_CHUNK_SIDE = 256
"""Largest side of a chunk where other axes are shorter: the transform of an axis takes time in proportion. In
planes it is twice as large."""
_LARGE_VOXELS = 512**3
"""Voxels above which a volume is large."""
_MAX_UNSHARDED_CHUNKS = 512
"""Chunks above which they are stored in shards: file systems and object stores are slow with many objects."""
_SHARD_CHUNKS = 4
"""Chunks of a shard along each axis."""


class ChunkLayout(NamedTuple):
    """Shapes of the chunks and shards of a container.

    Attributes:
        chunk: voxels of a chunk along each axis.
        shard: voxels of a shard along each axis; None where each chunk is an object of its own.
    """

    chunk: Shape
    shard: Shape | None


def choose_layout(
    shape: Shape,
    block_size: int,
    chunks: Sequence[int] | None,
    shards: Sequence[int] | None,
    names: Sequence[Any] | None = None,
    *,
    takes_steps: bool = True,
) -> ChunkLayout:
    """Choose the shapes of chunks and shards.

    Args:
        shape: of the volume, which has two to five axes.
        block_size: of the model.
        chunks: voxels of a chunk along each axis as the user asked for; None for the default.
        shards: voxels of a shard along each axis as the user asked for; None for the default.
        names: of the axes, which tell those of time and channels from those of space; None if they have none.
        takes_steps: whether chunks of the model may hold several steps.

    Returns:
        The layout that the container has.

    Raises:
        ValueError: chunks that do not hold whole blocks or have more long sides than the model takes, or
            shards that do not hold whole chunks.
    """
    if chunks is None:
        chunk = default_chunk(shape, block_size, names)
    else:
        chunk = _check_chunk(chunks, shape, block_size, takes_steps)
    shard = default_shard(shape, chunk) if shards is None else _check_shard(shards, chunk)
    return ChunkLayout(chunk, None if shard == chunk else shard)


def check_integers(name: str, numbers: Any) -> None:
    """Raise ``TypeError`` unless an option is a sequence of integers."""
    is_sequence = isinstance(numbers, Sequence | np.ndarray) and not isinstance(numbers, str | bytes)
    if not is_sequence or not all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers
    ):
        example = "(0, 2)" if name == "part" else "(64, 64, 64)"
        raise TypeError(f"`{name}` (={numbers!r:.80}) must be integers, such as {example}")


def _check_chunk(chunks: Sequence[int], shape: Shape, block_size: int, takes_steps: bool) -> Shape:
    check_integers("chunks", chunks)
    stated = f"`chunks` (={','.join(map(str, chunks))})"
    long_sides = [side for side in chunks if side > 1]
    spatial_sides = long_sides[-N_SPATIAL:]
    if len(chunks) != len(shape) or min(chunks) < 1 or any(side % block_size for side in spatial_sides):
        raise ValueError(
            f"{stated} must be {len(shape)} positive multiples of the model's block size (={block_size}), "
            "one for each axis; along an axis of time or channels 1, or along one such axis any number"
        )
    if len(long_sides) > MOST_LONG_SIDES:
        raise ValueError(
            f"{stated} must have at most {MOST_LONG_SIDES} sides above 1; make those of other axes 1"
        )
    chunk = tuple(map(int, chunks))
    n_steps = count_steps(chunk, chunk)
    if n_steps > 1 and not takes_steps:
        axis = chunk.index(n_steps)
        raise ValueError(
            f"{stated} must have at most {N_SPATIAL} sides above 1 with this model, whose chunks hold one "
            f"step: make the side of axis {axis} 1, or leave `model` out"
        )
    if n_steps * math.prod(padded_shape(spatial_shape(chunk, chunk), block_size)) > MAX_CHUNK_VOXELS:
        raise ValueError(
            f"{stated} must have at most {MAX_CHUNK_VOXELS} voxels; leave it out for about "
            f"{CHUNK_SIDE},{CHUNK_SIDE},{CHUNK_SIDE}"
        )
    return chunk


def _check_shard(shards: Sequence[int], chunk: Shape) -> Shape:
    check_integers("shards", shards)
    if len(shards) != len(chunk) or any(n < 1 or n % part for n, part in zip(shards, chunk, strict=True)):
        raise ValueError(
            f"`shards` (={','.join(map(str, shards))}) must be {len(chunk)} positive multiples of the chunks "
            f"(={','.join(map(str, chunk))})"
        )
    return tuple(map(int, shards))


def default_chunk(shape: Shape, block_size: int, names: Sequence[Any] | None = None) -> Shape:
    """Chunk that divides the volume evenly, so that little is padded: one step of time and channels.

    A chunk has at most about 128³ voxels, and 64³ in volumes of more than 512³; in planes 512². Where an axis
    is shorter than that, the chunk is longer along the others.
    """
    axes = default_spatial_axes(shape, names)
    n_voxels = math.prod(shape[axis] for axis in axes)
    side = CHUNK_SIDE if n_voxels <= _LARGE_VOXELS else LARGE_CHUNK_SIDE
    # A plane is coded as thick as a block.
    room = float(max(side, block_size) ** N_SPATIAL) / block_size ** (N_SPATIAL - len(axes))
    longest = _LONGEST_CHUNK_SIDE * (1 if len(axes) == N_SPATIAL else 2)
    sides = [1] * len(shape)
    for number, axis in enumerate(sorted(axes, key=lambda axis: shape[axis])):
        largest = max(min(round(room ** (1 / (len(axes) - number))), longest), block_size)
        n_chunks = math.ceil(shape[axis] / largest)
        sides[axis] = math.ceil(math.ceil(shape[axis] / n_chunks) / block_size) * block_size
        room /= sides[axis]
    return tuple(sides)


def default_shard(shape: Shape, chunk: Shape) -> Shape | None:
    """Shard of about 4³ chunks where there would be more than 512 objects, else None."""
    grid = [math.ceil(side / part) for side, part in zip(shape, chunk, strict=True)]
    if math.prod(grid) <= _MAX_UNSHARDED_CHUNKS:
        return None
    axes = spatial_axes(chunk)
    if len(axes) == len(shape):
        return tuple(_SHARD_CHUNKS * side for side in chunk)
    n_chunks = [min(n, _SHARD_CHUNKS) if axis in axes else 1 for axis, n in enumerate(grid)]
    # Chunks of several steps where those of one step are few.
    room = _SHARD_CHUNKS**N_SPATIAL // math.prod(n_chunks)
    for axis in reversed(range(len(shape))):
        if axis not in axes:
            n_chunks[axis] = max(min(grid[axis], room), 1)
            room //= n_chunks[axis]
    return tuple(n * side for n, side in zip(n_chunks, chunk, strict=True))
