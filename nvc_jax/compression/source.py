"""The source of a container: one pass finds its range, and checksums by which later runs recognise it.

A run that resumes, or that writes one part of several, must have the source that the first run had. Every
chunk of the source has a CRC-32, and the container's fingerprint is the CRC-32 of them all.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.value_range import SCAN_SIDE, ValueCounts, scan_regions
from nvc_jax.container.begun import Begun
from nvc_jax.core.chunk_grid import ChunkIndex, Region, chunk_region, chunks_in_region
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.heaps import releasing
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import spatial_axes
from nvc_jax.io.declared_values import DeclaredValues
from nvc_jax.io.lazy import view_region
from nvc_jax.native.checksums import crc32

STORED_CHECKSUM = np.dtype("<u4")
"""Dtype of the checksums as they are stored."""


def scan_source(
    volume: ts.TensorStore, chunk: Shape, declared: DeclaredValues
) -> tuple[ValueRange, np.ndarray]:
    """Read a volume once.

    Args:
        volume: of two to five axes, which may be larger than memory.
        chunk: voxels of a chunk along each axis.
        declared: values that the source declares to be no measurement.

    Returns:
        The range of the volume, and the CRC-32 of each chunk: uint32 of the shape of the grid of chunks.
    """
    checksums = no_checksums(volume.shape, chunk)
    pieces = pieces_of(volume.shape, chunk)
    counts = scan_pieces(volume, chunk, declared, pieces, checksums.__setitem__)
    return counts.to_value_range(*declared), checksums


def scan_chunks(
    volume: ts.TensorStore,
    chunk: Shape,
    declared: DeclaredValues,
    visit: Callable[[ChunkIndex, np.ndarray], None],
) -> ValueRange:
    """Read a volume once, find its range, and have a function look at each chunk.

    Args:
        volume: of two to five axes, which may be larger than memory.
        chunk: voxels of a chunk along each axis.
        declared: values that the source declares to be no measurement.
        visit: takes the index of a chunk and its values; several threads call it at a time.
    """

    def count(piece: Region, values: np.ndarray, counts: ValueCounts) -> None:
        for index, in_piece, _ in chunks_in_region(piece, chunk):
            visit(index, values[in_piece])
        counts.add(values, *declared)

    return _count_pieces(volume, pieces_of(volume.shape, chunk), count).to_value_range(*declared)


def pieces_of(shape: Sequence[int], chunk: Shape) -> list[Region]:
    """List the regions in which a source is scanned: each is made of whole chunks, which are read at once."""
    axes = spatial_axes(chunk)
    piece = tuple(max(SCAN_SIDE // n, 1) * n if axis in axes else n for axis, n in enumerate(chunk))
    return scan_regions(shape, piece, least_side=1)


def scan_pieces(
    volume: ts.TensorStore,
    chunk: Shape,
    declared: DeclaredValues,
    pieces: Sequence[Region],
    take: Callable[[ChunkIndex, int], None],
) -> ValueCounts:
    """Count the values of some of the ``pieces_of`` a source, and find the CRC-32 of each of their chunks.

    Args:
        volume: of two to five axes, which may be larger than memory.
        chunk: voxels of a chunk along each axis.
        declared: values that the source declares to be no measurement.
        pieces: some of those that ``pieces_of`` lists.
        take: takes the index of a chunk and its checksum; several threads call it at a time.
    """

    def count(piece: Region, values: np.ndarray, counts: ValueCounts) -> None:
        indices, in_piece, _ = zip(*chunks_in_region(piece, chunk), strict=True)
        for index, checksum in zip(
            indices, counts.add_with_checksums(values, in_piece, *declared), strict=True
        ):
            take(index, checksum)

    return _count_pieces(volume, pieces, count)


def _count_pieces(
    volume: ts.TensorStore,
    pieces: Sequence[Region],
    count: Callable[[Region, np.ndarray, ValueCounts], None],
) -> ValueCounts:
    """Have a function count the values of each piece, by several threads, and add up what was counted."""

    def count_piece(piece: Region) -> ValueCounts:
        counts = ValueCounts()
        count(piece, view_region(volume, piece), counts)
        return counts

    total = ValueCounts()
    for counts in releasing(map_in_order(count_piece, pieces)):
        total.merge(counts)
    return total


def fingerprint(checksums: np.ndarray) -> int:
    """Fingerprint of a source with such checksums of its chunks."""
    return zlib.crc32(to_bytes(checksums))


def to_bytes(checksums: np.ndarray) -> bytes:
    """Checksums as they are stored for other writers."""
    return checksums.astype(STORED_CHECKSUM).tobytes()


def check_part_of_source(volume: ts.TensorStore, begun: Begun, part: Sequence[ChunkIndex]) -> None:
    """Check that one writer's chunks of a source are those that the first writer had.

    Args:
        volume: of two to five axes, which may be larger than memory.
        begun: what the first writer began, of a volume of this shape.
        part: indices of the writer's chunks.

    Raises:
        ValueError: a chunk differs, or nothing tells whether it does.
    """
    grid = no_checksums(volume.shape, begun.store.metadata.chunk).shape
    fault = f"the container `{begun.store.name}` was begun with another volume, model or target"
    if len(begun.checksums) != STORED_CHECKSUM.itemsize * np.prod(grid):
        raise ValueError(f"{fault}: the checksums of its source are not there; {begun.advice}")
    expected = np.frombuffer(begun.checksums, STORED_CHECKSUM).reshape(grid)
    changed = find_changed(volume, begun.store.metadata.chunk, expected, part)
    if changed is not None:
        raise ValueError(f"{fault}: chunk {changed} of the source has changed; {begun.advice}")


def find_changed(
    volume: ts.TensorStore, chunk: Shape, checksums: np.ndarray, indices: Sequence[ChunkIndex]
) -> ChunkIndex | None:
    """Find a chunk, among those of some indices, that has another checksum now; None if there is none."""

    def is_same(index: ChunkIndex) -> bool:
        return crc32(view_region(volume, chunk_region(index, chunk, volume.shape))) == checksums[index]

    compared = zip(indices, map_in_order(is_same, indices), strict=True)
    return next((index for index, same in compared if not same), None)


def no_checksums(shape: Sequence[int], chunk: Shape) -> np.ndarray:
    """Make the array of the checksums of all chunks, of the shape of their grid, with zeros in it."""
    return np.zeros([-(-side // n) for side, n in zip(shape, chunk, strict=True)], STORED_CHECKSUM)
