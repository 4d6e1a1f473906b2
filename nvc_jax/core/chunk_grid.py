"""Regular grid of chunks that a volume is cut into. Chunks at the far ends of the volume are cut off.

A *region* is a part of a volume, given by a slice along each axis. The *index* of a chunk is its position in
the grid.
"""

import contextlib
import itertools
from collections.abc import Iterator

from nvc_jax.core.shapes import Shape

ChunkIndex = tuple[int, ...]
"""Index of a chunk, or of a stored object of chunks, along each axis."""
Region = tuple[slice, ...]
"""Slices with bounds and without steps along each axis."""
MAX_CHUNK_VOXELS = 1 << 28
"""Voxels of a chunk at most: a chunk is decoded in memory as a whole, and XLA counts in 32 bits."""


def full_region(shape: tuple[int, ...]) -> Region:
    """Region of a whole volume."""
    return tuple(slice(0, side) for side in shape)


def chunk_region(index: ChunkIndex, chunk: Shape, shape: Shape) -> Region:
    """Region of a chunk in a volume of ``shape``, cut off at the end of the volume."""
    return tuple(slice(i * n, min((i + 1) * n, side)) for i, n, side in zip(index, chunk, shape, strict=True))


def chunk_regions(shape: tuple[int, ...], chunk: Shape) -> list[Region]:
    """Regions of all chunks of a volume, in C order."""
    grid = (-(-side // n) for side, n in zip(shape, chunk, strict=True))
    return [chunk_region(index, chunk, shape) for index in itertools.product(*map(range, grid))]


def grid_indices(grid: Shape) -> Iterator[ChunkIndex]:
    """Iterate over the indices of a grid in C order; ``itertools.product`` would keep them all."""
    return _combine(list(map(range, grid)))


def _combine(ranges: list[range]) -> Iterator[ChunkIndex]:
    if not ranges:
        return iter([()])
    first, rest = ranges[0], ranges[1:]
    return ((number, *index) for number in first for index in _combine(rest))


def chunk_valid_shape(index: ChunkIndex, chunk: Shape, shape: Shape) -> Shape:
    """Number of voxels along each axis of a chunk that are inside of a volume of ``shape``."""
    return tuple(part.stop - part.start for part in chunk_region(index, chunk, shape))


def chunks_in_region(region: Region, chunk: Shape) -> Iterator[tuple[ChunkIndex, Region, Region]]:
    """List the chunks that overlap a region.

    Yields:
        The index of a chunk, the overlap as a region of ``region``, and the overlap as a region of the chunk.
    """
    ranges = [range(part.start // n, -(-part.stop // n)) for part, n in zip(region, chunk, strict=True)]
    for index in _combine(ranges):
        in_region, in_chunk = [], []
        for part, i, n in zip(region, index, chunk, strict=True):
            start, stop = max(part.start, i * n), min(part.stop, (i + 1) * n)
            in_region.append(slice(start - part.start, stop - part.start))
            in_chunk.append(slice(start - i * n, stop - i * n))
        yield index, tuple(in_region), tuple(in_chunk)


def inner_boundaries(region: Region, shape: tuple[int, ...]) -> int:
    """Boundaries at which the chunk of a region of a volume of ``shape`` meets other chunks.

    Returns:
        Six bits: bits 0 and 1 for the boundaries before and after the chunk along z, then two bits for y and
        two for x.
    """
    meets = []
    for part, side in zip(region, shape, strict=True):
        meets += [part.start > 0, part.stop < side]
    return sum(met << bit for bit, met in enumerate(meets))


def shift_region(region: Region, first: tuple[int, ...]) -> Region:
    """Region of a volume, from a region of a part of it whose first voxel is at ``first``."""
    return tuple(
        slice(origin + axis.start, origin + axis.stop) for axis, origin in zip(region, first, strict=True)
    )


def first_voxel(region: Region) -> tuple[int, ...]:
    """Get the indices of a region's first voxel."""
    return tuple(axis.start for axis in region)


@contextlib.contextmanager
def naming_chunk(region: Region) -> Iterator[None]:
    """Name the chunk in the notes of an error, unless others of its batch have done so."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "__notes__"):
            error.add_note(f"in the chunk whose first voxel is {first_voxel(region)}")
        raise
