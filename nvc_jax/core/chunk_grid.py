"""The regular grid of chunks that a volume is cut into."""

import itertools
from collections.abc import Iterator

from nvc_jax.core.shapes import Shape3, check_shape

ChunkIndex = tuple[int, ...]
"""Index of a chunk, or of a stored object of chunks, along z, y, x."""
Region = tuple[slice, ...]
"""Slices with bounds and without steps along z, y, x."""


def full_region(shape: tuple[int, ...]) -> Region:
    """The slices of all of a volume."""
    return tuple(slice(0, side) for side in shape)


def chunk_region(index: tuple[int, ...], chunk: Shape3, shape: tuple[int, ...]) -> Region:
    """Where a chunk lies in a volume of ``shape``."""
    return tuple(slice(i * n, min((i + 1) * n, side)) for i, n, side in zip(index, chunk, shape, strict=True))


def chunks_in_region(region: Region, chunk: Shape3) -> Iterator[tuple[tuple[int, ...], Region, Region]]:
    """Index of every chunk that a region touches, where it lies in the region, and what of it does."""
    touched = (range(part.start // n, -(-part.stop // n)) for part, n in zip(region, chunk, strict=True))
    for index in itertools.product(*touched):
        into, of = [], []
        for part, i, n in zip(region, index, chunk, strict=True):
            start, stop = max(part.start, i * n), min(part.stop, (i + 1) * n)
            into.append(slice(start - part.start, stop - part.start))
            of.append(slice(start - i * n, stop - i * n))
        yield index, tuple(into), tuple(of)


def chunk_valid_shape(index: tuple[int, ...], chunk: Shape3, shape: Shape3) -> Shape3:
    """How many voxels along z, y, x of a chunk lie in a volume of ``shape``."""
    return check_shape(tuple(part.stop - part.start for part in chunk_region(index, chunk, shape)))


def inner_boundaries(place: Region, shape: tuple[int, ...]) -> int:
    """The boundaries at which a chunk of a volume of ``shape`` meets others, see ``boundaries``."""
    ends = ((part.start > 0, part.stop < side) for part, side in zip(place, shape, strict=True))
    return sum(met << bit for bit, met in enumerate(itertools.chain.from_iterable(ends)))


def chunk_regions(shape: tuple[int, ...], chunk: Shape3) -> list[Region]:
    """Where the chunks of a volume lie, in z, y, x order."""
    grid = (-(-side // n) for side, n in zip(shape, chunk, strict=True))
    return [chunk_region(index, chunk, shape) for index in itertools.product(*map(range, grid))]
