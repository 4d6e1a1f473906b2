"""The store of a container: its objects read and written.

Format version 1, see ``FORMAT.md``. An object is a chunk, or a shard of chunks with an index. A chunk is a
payload followed by its checksum.
"""

import contextlib
import functools
import itertools
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorstore as ts

from nvc_jax.chunks.payload import Payload, parse_payload
from nvc_jax.container.chunk_checksum import seal_chunk, unseal_chunk
from nvc_jax.container.metadata import INDEX_CODECS, METADATA_KEY, ContainerMetadata, FormatError
from nvc_jax.container.shards import end_of_chunks, index_bytes
from nvc_jax.container.stored_metadata import READ_ERRORS, read_finest
from nvc_jax.core.chunk_grid import ChunkIndex, grid_indices
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.io.locations import (
    Location,
    check_is_file,
    local_files,
    open_kvstore,
    open_location,
    read_file,
    read_key,
)
from nvc_jax.io.paths import check_location
from nvc_jax.io.zip_files import list_zip

_CACHED_SHARDS = 256
"""Open shards that are kept: TensorStore keeps the index of an open one."""


class ContainerStore:
    """The chunks of a container.

    Args:
        objects: the keys below the container, kept as ``kvstore``.
        metadata: of the container.
        name: of the container, for messages.
        begun: future of the metadata being stored; None where they are.
    """

    def __init__(
        self, objects: ts.KvStore, metadata: ContainerMetadata, name: str, begun: ts.Future | None = None
    ) -> None:
        self.metadata, self.name, self.kvstore, self._begun = metadata, name, objects, begun
        self._identity = metadata.identity
        self._directory, self._zip_file = local_files(objects)
        self._shard = functools.lru_cache(maxsize=_CACHED_SHARDS)(self._open_shard)

    def chunks(self) -> Iterator[ChunkIndex]:
        """Iterate over the indices of all chunks, in C order."""
        return grid_indices(self.metadata.chunk_grid)

    def objects(self) -> Iterator[ChunkIndex]:
        """Iterate over the indices of all stored objects, in C order."""
        return grid_indices(self.metadata.object_grid)

    def chunks_of(self, index: ChunkIndex) -> list[ChunkIndex]:
        """List the chunks of a stored object that lie in the volume."""
        per_object, grid = self.metadata.chunks_per_object, self.metadata.chunk_grid
        sides = (
            range(i * n, min((i + 1) * n, side)) for i, n, side in zip(index, per_object, grid, strict=True)
        )
        return list(itertools.product(*sides))

    def object_of(self, chunk: ChunkIndex) -> ChunkIndex:
        """Index of the stored object that holds a chunk."""
        return tuple(i // n for i, n in zip(chunk, self.metadata.chunks_per_object, strict=True))

    def write_object(self, index: ChunkIndex, payloads: Mapping[ChunkIndex, bytes]) -> int:
        """Store the payloads of ``chunks_of(index)``, all or none of them; return the object's bytes."""
        n_bytes, stored = self.begin_object(index, payloads)
        stored.result()
        return n_bytes

    def begin_object(self, index: ChunkIndex, payloads: Mapping[ChunkIndex, bytes]) -> tuple[int, ts.Future]:
        """Begin to store the payloads of ``chunks_of(index)``, as ``write_object`` does.

        Returns:
            Bytes of the object, and the future of its being stored.
        """
        self.wait_for_metadata()
        identity, grid = self._identity, self.metadata.chunk_grid
        sealed = {chunk: seal_chunk(payload, identity, chunk, grid) for chunk, payload in payloads.items()}
        n_bytes = sum(map(len, sealed.values()))
        if self.metadata.shard is None:
            return n_bytes, self.kvstore.write(_object_key(index), sealed[index])
        # A damaged shard is removed first: TensorStore would merge the new chunks with it.
        self.kvstore.write(_object_key(index), None).result()
        transaction = ts.Transaction()
        shard = self._shard(index).with_transaction(transaction)
        for chunk, value in sealed.items():
            shard.write(self._key_in_shard(chunk), value).result()
        n_bytes += index_bytes(self.metadata.chunks_per_object)
        return n_bytes, transaction.commit_async()

    def wait_for_metadata(self) -> None:
        """Wait until the metadata are stored, which comes before any object is."""
        if self._begun is not None:
            self._begun.result()

    def has_object(self, index: ChunkIndex) -> bool:
        """Tell whether a stored object exists and every chunk of it is undamaged."""
        try:
            for chunk in self.chunks_of(index):
                self.read(chunk)
        except FormatError:
            return False
        return True

    def stored_bytes(self) -> int:
        """Bytes of the metadata, which may hold a model, and of all objects.

        Raises:
            FormatError: an object is missing.
        """
        if self._directory is not None:
            with self._naming_missing():
                return sum(os.stat(self._directory + key).st_size for key in self.keys())
        if self._zip_file is not None:
            sizes = list_zip(self._zip_file)
            with self._naming_missing():
                return sum(sizes[key] for key in self.keys())
        return sum(map_in_order(self._remote_bytes, self.keys()))

    def _remote_bytes(self, key: str) -> int:
        """Bytes of a stored object, or of the metadata; of a shard only its index is read."""
        has_index = self.metadata.shard is not None and key != METADATA_KEY
        n_index = index_bytes(self.metadata.chunks_per_object)
        try:
            result = self.kvstore.read(key, byte_range=slice(-n_index, None) if has_index else None).result()
        except ValueError as error:
            raise FormatError(f"`{key}` of `{self.name}` has no index of a shard: {error}") from error
        if result.state != "value":
            raise FormatError(f"`{key}` of `{self.name}` is missing")
        return len(result.value) + (end_of_chunks(bytes(result.value)) if has_index else 0)

    @contextlib.contextmanager
    def _naming_missing(self) -> Iterator[None]:
        """Turn the error of a missing object into a ``FormatError``."""
        try:
            yield
        except (FileNotFoundError, KeyError) as error:
            name = error.filename if isinstance(error, FileNotFoundError) else error.args[0]
            raise FormatError(f"`{name}` of `{self.name}` is missing") from error

    def largest_stated_error(self) -> float:
        """Largest error that the chunks state, in the volume's units; reads every payload.

        Raises:
            FormatError: a chunk is missing or damaged.
        """
        return max(map_in_order(lambda chunk: self.read_payload(chunk).max_error, self.chunks()))

    def keys(self) -> Iterator[str]:
        """Iterate over the keys of a complete container."""
        yield METADATA_KEY
        yield from map(_object_key, self.objects())

    def is_complete(self) -> bool:
        """Tell whether every object exists; damage is not looked for."""
        existing = set(self.kvstore.list(ts.KvStore.KeyRange("c/", "c0")).result())
        return all(_object_key(index).encode() in existing for index in self.objects())

    def read(self, index: ChunkIndex) -> bytes:
        """Read a chunk's payload.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        with self.naming_damage(index, "cannot be read"):
            stored = self._read_sealed(index)
        if stored is None:
            raise FormatError(f"chunk {index} of `{self.name}` is missing")
        with self.naming_damage(index):
            return unseal_chunk(stored, self._identity, index, self.metadata.chunk_grid)

    def _read_sealed(self, index: ChunkIndex) -> bytes | None:
        """Read a chunk with its checksum; None where it is missing."""
        key = _object_key(self.object_of(index))
        if self.metadata.shard is None:
            return (
                read_key(self.kvstore, key) if self._directory is None else read_file(self._directory + key)
            )
        if self._directory is not None:
            check_is_file(Path(self._directory + key))
        result = self._shard(self.object_of(index)).read(self._key_in_shard(index)).result()
        return bytes(result.value) if result.state == "value" else None

    def read_payload(self, index: ChunkIndex) -> Payload:
        """Read a chunk's payload and take it apart; errors as of ``read``."""
        payload = self.read(index)
        with self.naming_damage(index):
            return parse_payload(payload, self.metadata.spatial_chunk)

    @contextlib.contextmanager
    def naming_damage(self, index: ChunkIndex, fault: str = "is damaged") -> Iterator[None]:
        """Turn an error of reading in the block into a ``FormatError`` that names the chunk."""
        try:
            yield
        except READ_ERRORS as error:
            raise FormatError(f"chunk {index} of `{self.name}` {fault}: {error}") from error

    def _open_shard(self, index: ChunkIndex) -> ts.KvStore:
        spec = {
            "driver": "zarr3_sharding_indexed",
            "base": (self.kvstore / _object_key(index)).spec().to_json(),
            "grid_shape": list(self.metadata.chunks_per_object),
            "index_codecs": INDEX_CODECS,
            "index_location": "end",
        }
        return open_kvstore(spec)

    def _key_in_shard(self, chunk: ChunkIndex) -> bytes:
        per_object = self.metadata.chunks_per_object
        return struct.pack(f">{len(per_object)}I", *(i % n for i, n in zip(chunk, per_object, strict=True)))


def _object_key(index: ChunkIndex) -> str:
    return "/".join(["c", *map(str, index)])


def open_container(location: Location) -> ContainerStore:
    """Open an existing container, or the finest level of an image of containers.

    Raises:
        FileNotFoundError: there is no such directory or file.
        FormatError: it is no container, or its metadata are damaged.
    """
    check_location(location, "container")
    try:
        objects = open_location(location)
    except ValueError as error:
        raise FormatError(str(error)) from error
    try:
        objects, metadata = read_finest(objects)
    except FormatError as error:
        raise FormatError(f"`{location}`: {error}") from error
    if metadata is None:
        raise FormatError(f"`{location}` is no Zarr v3 array: it lacks `{METADATA_KEY}`")
    return ContainerStore(objects, metadata, str(location))
