"""The first pass over a source by several writers at a time: each reads a share, and leaves a note about it.

Nobody waits for a writer that may never come. Who has read a share waits as long again for the notes of the
others, and then reads what is still missing. So writers that start together read the source once between
them, and one that starts alone reads all of it.
"""

import dataclasses
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.value_range import ValueCounts
from nvc_jax.compression.source import (
    STORED_CHECKSUM,
    find_changed,
    no_checksums,
    pieces_of,
    scan_pieces,
    scan_source,
)
from nvc_jax.container.notes import Notes
from nvc_jax.container.store import ContainerStore
from nvc_jax.core.chunk_grid import ChunkIndex, Region, chunks_in_region
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.shapes import Shape
from nvc_jax.io.declared_values import DeclaredValues

_LEAST_PAUSE_SECONDS, _PAUSES = 0.02, 20
"""Pause between two looks at the notes: a share of the time that the writer waits."""


class SharedScan(NamedTuple):
    """Results of one pass over a source.

    Attributes:
        value_range: of the volume.
        checksums: CRC-32 of each chunk: uint32 of the shape of the grid of chunks.
        own: indices of the chunks that this writer has read itself; None for all.
    """

    value_range: ValueRange
    checksums: np.ndarray
    own: set[ChunkIndex] | None


@dataclasses.dataclass(frozen=True)
class _Share:
    """One writer's share of a source.

    Attributes:
        name: of the note about it.
        pieces: regions in which it is read.
    """

    name: str
    pieces: list[Region]


def scan_share(
    volume: ts.TensorStore,
    chunk: Shape,
    declared: DeclaredValues,
    part: tuple[int, int] | None,
    notes: Notes | None,
) -> SharedScan:
    """Read this writer's share of a volume, and what no other writer reads.

    Args:
        volume: of two to five axes, which may be larger than memory.
        chunk: voxels of a chunk along each axis.
        declared: values that the source declares to be no measurement.
        part: (i, n) for the i-th of n writers; None for one that writes alone.
        notes: of the writers of this container; None where there can be none.
    """
    if part is None or notes is None:
        return SharedScan(*scan_source(volume, chunk, declared), own=None)
    return _scan_together(volume, chunk, declared, part, notes)


def check_noted(
    volume: ts.TensorStore, scan: SharedScan, part: Sequence[ChunkIndex], store: ContainerStore
) -> None:
    """Check the chunks of a part that another writer has read: it may have had another source.

    Args:
        volume: of two to five axes, which may be larger than memory.
        scan: of the volume.
        part: indices of the chunks that this writer stores.
        store: of the container.

    Raises:
        ValueError: a chunk differs.
    """
    if scan.own is None:
        return
    noted = [index for index in part if index not in scan.own]
    changed = find_changed(volume, store.metadata.chunk, scan.checksums, noted)
    if changed is not None:
        raise ValueError(
            f"chunk {changed} of the source is not the one that another writer of `{store.name}` has read: "
            "write all parts from the same source, which must not change meanwhile"
        )


def _scan_together(
    volume: ts.TensorStore, chunk: Shape, declared: DeclaredValues, part: tuple[int, int], notes: Notes
) -> SharedScan:
    """Read this writer's share, and then what no note tells of; arguments as of ``scan_share``."""
    counts, checksums = ValueCounts(), no_checksums(volume.shape, chunk)
    own: set[ChunkIndex] = set()
    shares = _make_shares(volume, chunk, declared, part)

    def read(share: _Share) -> None:
        """Read a share, and leave a note about it."""

        def take_checksum(index: ChunkIndex, checksum: int) -> None:
            checksums[index] = checksum
            own.add(index)

        counted = scan_pieces(volume, chunk, declared, share.pieces, take_checksum)
        notes.leave(share.name, _to_note(counted, [checksums[i] for i in _chunks_of(share, chunk)]))
        counts.merge(counted)

    def take(share: _Share) -> bool:
        """Take a note about a share; False where there is none that tells all."""
        indices = list(_chunks_of(share, chunk))
        noted = _from_note(notes.read(share.name), len(indices))
        if noted is None:
            return False
        counts.merge(noted[0])
        for index, checksum in zip(indices, noted[1], strict=True):
            checksums[index] = checksum
        return True

    start = time.monotonic()
    read(shares[0])
    seconds = time.monotonic() - start
    missing = _take_all(shares[1:], take, notes, seconds)
    while missing:
        read(missing[0])
        missing = _take_all(missing[1:], take, notes, seconds=0)
    return SharedScan(counts.to_value_range(*declared), checksums, own)


def _make_shares(
    volume: ts.TensorStore, chunk: Shape, declared: DeclaredValues, part: tuple[int, int]
) -> list[_Share]:
    """Make the shares of all writers: this writer's comes first, and then those of the writers behind it."""
    described = repr((volume.shape, str(volume.dtype), chunk, tuple(declared))).encode()
    pieces = pieces_of(volume.shape, chunk)
    writer, n_writers = part
    numbers = [(writer + step) % n_writers for step in range(n_writers)]
    prefix = f"scan-{zlib.crc32(described):08x}-{n_writers}"
    return [_Share(f"{prefix}-{number}", pieces[number::n_writers]) for number in numbers]


def _chunks_of(share: _Share, chunk: Shape) -> Iterator[ChunkIndex]:
    """Iterate over the indices of a share's chunks, in the order of the checksums in its note."""
    for piece in share.pieces:
        for index, _, _ in chunks_in_region(piece, chunk):
            yield index


def _take_all(
    shares: Sequence[_Share], take: Callable[[_Share], bool], notes: Notes, seconds: float
) -> list[_Share]:
    """Take the notes of shares for some seconds, and return the shares that are still missing."""
    deadline = time.monotonic() + seconds
    pause = max(seconds / _PAUSES, _LEAST_PAUSE_SECONDS)
    while True:
        there = notes.names()
        shares = [share for share in shares if share.name not in there or not take(share)]
        left = deadline - time.monotonic()
        if not shares or left <= 0:
            return shares
        time.sleep(min(pause, left))


def _to_note(counts: ValueCounts, checksums: list[int]) -> bytes:
    """Write what was counted, a line of JSON, and the checksums behind it."""
    ends = [list(end.items()) for end in (counts.lowest, counts.highest)]
    header = {"n_voxels": counts.n_voxels, "kind": counts.kind, "lowest": ends[0], "highest": ends[1]}
    return json.dumps(header).encode() + b"\n" + np.array(checksums, STORED_CHECKSUM).tobytes()


def _from_note(note: bytes, n_chunks: int) -> tuple[ValueCounts, np.ndarray] | None:
    """Read a note; None unless it tells of as many chunks."""
    header, _, stored = note.partition(b"\n")
    if len(stored) != n_chunks * STORED_CHECKSUM.itemsize:
        return None
    try:
        fields = json.loads(header)
        counts = ValueCounts(
            fields["n_voxels"], fields["kind"], dict(fields["lowest"]), dict(fields["highest"])
        )
    except (ValueError, TypeError, KeyError):
        return None
    return counts, np.frombuffer(stored, STORED_CHECKSUM)
