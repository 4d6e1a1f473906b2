"""The container: the stored objects of a Zarr v3 array, read and written.

Format version 1, specified in ``FORMAT.md``. An object is a chunk, or a shard of chunks with an index; each
chunk is the payload of ``chunks`` closed by the CRC-32C of Zarr's codec of that name.
"""

import contextlib
import functools
import itertools
import json
import os
import struct
from collections.abc import Iterator, Mapping

import tensorstore as ts

from nvc_jax.chunks.payload import Payload, parse_payload
from nvc_jax.container.metadata import INDEX_CODECS, ContainerMetadata, FormatError
from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape3
from nvc_jax.io.locations import (
    Location,
    open_kvstore,
    open_location,
)

Index = tuple[int, ...]

METADATA_KEY = "zarr.json"
_CRC_BYTES = 4


class Store:
    """The chunks of a container.

    Args:
        objects: the keys below the container.
        header: its metadata.
        name: of the container, for messages.
    """

    def __init__(self, objects: ts.KvStore, header: ContainerMetadata, name: str) -> None:
        self.header, self.name, self._objects = header, name, objects
        self._shard = functools.lru_cache(maxsize=256)(self._open_shard)

    def chunks(self) -> Iterator[Index]:
        """The indices of all chunks, in z, y, x order."""
        return _indices(self.header.chunk_grid)

    def objects(self) -> Iterator[Index]:
        """The indices of all stored objects, in z, y, x order."""
        return _indices(self.header.object_grid)

    def chunks_of(self, index: Index) -> list[Index]:
        """The chunks of a stored object that lie in the volume."""
        per, grid = self.header.chunks_per_object, self.header.chunk_grid
        sides = (range(i * n, min((i + 1) * n, most)) for i, n, most in zip(index, per, grid, strict=True))
        return list(itertools.product(*sides))

    def write_object(self, index: Index, payloads: Mapping[Index, bytes]) -> None:
        """Store the payloads of ``chunks_of(index)``; the object is there as a whole or not at all."""
        sealed = {chunk: encode_bytes(payload, "crc32c") for chunk, payload in payloads.items()}
        if self.header.shard is None:
            self._objects.write(_object_key(index), sealed[index]).result()
            return
        # What is left of a damaged shard is not to be merged with.
        self._objects.write(_object_key(index), None).result()
        transaction = ts.Transaction()
        shard = self._shard(index).with_transaction(transaction)
        for chunk, value in sealed.items():
            shard.write(self._key_in_shard(chunk), value).result()
        transaction.commit_async().result()

    def has_object(self, index: Index) -> bool:
        """Whether a stored object is there, and every chunk of it whole."""
        try:
            for chunk in self.chunks_of(index):
                self.read(chunk)
        except FormatError:
            return False
        return True

    def stored_bytes(self) -> int:
        """Bytes of the metadata, which may hold a model, and of all objects."""
        spec = self._objects.spec().to_json()
        if spec["driver"] == "file":
            return sum(os.stat(spec["path"] + key).st_size for key in self.keys())
        return sum(map_in_order(lambda key: len(self._objects.read(key).result().value), self.keys()))

    def keys(self) -> Iterator[str]:
        """The keys of a whole container."""
        yield METADATA_KEY
        yield from map(_object_key, self.objects())

    def is_complete(self) -> bool:
        """Whether every object is there; not whether it is whole."""
        there = set(self._objects.list(ts.KvStore.KeyRange("c/", "c0")).result())
        return all(_object_key(index).encode() in there for index in self.objects())

    def read(self, index: Index) -> bytes:
        """A chunk's payload.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        with self.reading(index, "cannot be read"):
            if self.header.shard is None:
                found = self._objects.read(_object_key(index)).result()
            else:
                per = self.header.chunks_per_object
                shard = self._shard(tuple(i // n for i, n in zip(index, per, strict=True)))
                found = shard.read(self._key_in_shard(index)).result()
        if found.state != "value":
            raise FormatError(f"chunk {index} of `{self.name}` is missing")
        stored = bytes(found.value)
        with self.reading(index):
            if len(stored) <= _CRC_BYTES:
                raise ValueError(f"it has {len(stored)} bytes")
            return decode_bytes(stored, "crc32c", len(stored) - _CRC_BYTES)

    def read_payload(self, index: Index) -> Payload:
        """A chunk's payload, taken apart; errors as of ``read``."""
        payload = self.read(index)
        with self.reading(index):
            return parse_payload(payload)

    @contextlib.contextmanager
    def reading(self, index: Index, fault: str = "is damaged") -> Iterator[None]:
        """What is wrong with a chunk that is read is the container's fault."""
        try:
            yield
        except ValueError as error:
            raise FormatError(f"chunk {index} of `{self.name}` {fault}: {error}") from error

    def _open_shard(self, index: Index) -> ts.KvStore:
        spec = {
            "driver": "zarr3_sharding_indexed",
            "base": (self._objects / _object_key(index)).spec().to_json(),
            "grid_shape": list(self.header.chunks_per_object),
            "index_codecs": INDEX_CODECS,
            "index_location": "end",
        }
        return open_kvstore(spec)

    def _key_in_shard(self, chunk: Index) -> bytes:
        per = self.header.chunks_per_object
        return struct.pack(">3I", *(i % n for i, n in zip(chunk, per, strict=True)))


def _indices(grid: Shape3) -> Iterator[Index]:
    return itertools.product(*map(range, grid))


def _object_key(index: Index) -> str:
    return "/".join(["c", *map(str, index)])


def read_header(objects: ts.KvStore, key: str) -> ContainerMetadata | None:
    try:
        found = objects.read(key).result()
    except ValueError as error:
        raise FormatError(f"its metadata cannot be read: {error}") from error
    if found.state != "value":
        return None
    try:
        metadata = json.loads(bytes(found.value))
    except ValueError as error:
        raise FormatError(f"it is no readable Zarr v3 array: {error}") from error
    return ContainerMetadata.from_metadata(metadata)


def open_container(location: Location) -> Store:
    """An existing container.

    Raises:
        FileNotFoundError: there is no such directory or file.
        FormatError: it is no container, or its metadata are damaged.
    """
    objects = open_location(location)
    try:
        header = read_header(objects, METADATA_KEY)
    except FormatError as error:
        raise FormatError(f"`{location}`: {error}") from error
    if header is None:
        raise FormatError(f"`{location}` is no Zarr v3 array: it lacks `{METADATA_KEY}`")
    return Store(objects, header, str(location))
