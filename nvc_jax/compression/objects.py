"""Encoding and storing of a container's objects, several chunks at a time."""

import collections
import contextlib
import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.payload import parse_payload
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.container.store import ContainerStore
from nvc_jax.core.chunk_grid import ChunkIndex, chunk_region, chunk_valid_shape
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.heaps import releasing
from nvc_jax.io.atomic import naming

_MOST_PENDING_BYTES = 1 << 26
"""Most bytes of objects that are being stored at a time, if it is more than one: they are kept in memory."""


@dataclasses.dataclass
class WrittenObjects:
    """Objects that one call stored.

    Attributes:
        n_skipped: objects that were stored already, and kept.
        stored_bytes: bytes of the objects that were stored.
        max_error: largest error that their chunks state, in the volume's units.
    """

    n_skipped: int = 0
    stored_bytes: int = 0
    max_error: float = 0.0


def write_objects(
    store: ContainerStore,
    encoder: ChunkEncoder,
    resolve: Callable[[], ChunkTarget],
    part: tuple[int, int],
    *,
    skip_existing: bool,
    on_progress: Callable[[ByteProgress], None] | None,
) -> WrittenObjects:
    """Encode and store one writer's objects: while some chunks are encoded, others are read and written.

    Args:
        store: of the container.
        encoder: of the volume's chunks.
        resolve: finds the target of every chunk; called once, if there is a chunk to encode.
        part: (i, n): this writer stores every n-th object from the i-th on.
        skip_existing: whether to keep the objects that are stored already.
        on_progress: called after every chunk.
    """
    metadata = store.metadata
    written = WrittenObjects()
    own_objects = objects_of_part(store, part)
    if not own_objects:
        warnings.warn(
            f"`part` (={part}) has nothing to write: `{store.name}` has no more than {part[0]} objects; take "
            "fewer parts, or smaller `shards` or `chunks`",
            stacklevel=2,
        )

    resolve = functools.cache(resolve)

    def encode(batch: list[tuple[ChunkIndex, ChunkTarget]]) -> Iterable[tuple[ChunkIndex, bytes]]:
        chunks, (target, *_) = zip(*batch, strict=True)
        regions = [chunk_region(chunk, metadata.chunk, metadata.shape) for chunk in chunks]
        return zip(chunks, encoder.encode_together(regions, target), strict=True)

    def chunks_to_encode() -> Iterator[tuple[ChunkIndex, ChunkTarget]]:
        for index in own_objects:
            if skip_existing and store.has_object(index):
                written.n_skipped += 1
            else:
                yield from ((chunk, resolve()) for chunk in store.chunks_of(index))

    mapped = map_batches_on_devices(encode, chunks_to_encode(), encoder.batch_size)

    total_bytes = sum(_volume_bytes(store, store.chunks_of(index)) for index in own_objects)
    done_bytes = payload_bytes = 0
    payloads: dict[ChunkIndex, bytes] = {}
    with (
        _Writing(store) as writing,
        contextlib.closing(releasing(mapped)) as encoded,
    ):
        for chunk, payload in encoded:
            payloads[chunk] = payload
            index = store.object_of(chunk)
            if len(payloads) == len(store.chunks_of(index)):
                written.stored_bytes += writing.begin(index, payloads)
                payloads = {}
            written.max_error = max(
                written.max_error, parse_payload(payload, metadata.spatial_chunk).max_error
            )

            done_bytes += _volume_bytes(store, [chunk])
            payload_bytes += len(payload)
            if on_progress is not None:
                on_progress(
                    ByteProgress(done_bytes, total_bytes, payload_bytes, metadata.chunk, metadata.dtype)
                )
    return written


class _Writing:
    """Objects that are being stored: file systems take a while until what they were given is safe.

    Args:
        store: of the container.
    """

    def __init__(self, store: ContainerStore) -> None:
        self._store = store
        self._pending: collections.deque[tuple[int, ts.Future]] = collections.deque()

    def begin(self, index: ChunkIndex, payloads: Mapping[ChunkIndex, bytes]) -> int:
        """Begin to store an object, and wait for earlier ones if they are much; return its bytes."""
        with naming(self._store.name):
            self._pending.append(self._store.begin_object(index, payloads))
            n_bytes = self._pending[-1][0]
            while len(self._pending) > 1 and (self._pending[0][1].done() or self._is_much()):
                self._pending.popleft()[1].result()
        return n_bytes

    def _is_much(self) -> bool:
        return sum(n_bytes for n_bytes, _ in self._pending) > _MOST_PENDING_BYTES

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for all objects; where something has failed already, their own errors are no news."""
        failed: Exception | None = None
        for _size, stored in self._pending:
            try:
                stored.result()
            except (ValueError, RuntimeError, OSError) as error:
                failed = failed or error
        if failed is not None and kind is None:
            with naming(self._store.name):
                raise failed


def objects_of_part(store: ContainerStore, part: tuple[int, int]) -> list[ChunkIndex]:
    """List the objects of the i-th of n writers, ``part`` being (i, n): every n-th from the i-th on."""
    writer, n_writers = part
    return [index for number, index in enumerate(store.objects()) if number % n_writers == writer]


def chunks_of_part(store: ContainerStore, part: tuple[int, int]) -> list[ChunkIndex]:
    """List the chunks of the objects of one writer; see ``objects_of_part``."""
    return [chunk for index in objects_of_part(store, part) for chunk in store.chunks_of(index)]


def _volume_bytes(store: ContainerStore, chunks: Sequence[ChunkIndex]) -> int:
    """Bytes of the volume that lie in chunks."""
    metadata = store.metadata
    n_voxels = sum(math.prod(chunk_valid_shape(chunk, metadata.chunk, metadata.shape)) for chunk in chunks)
    return n_voxels * np.dtype(metadata.dtype).itemsize
