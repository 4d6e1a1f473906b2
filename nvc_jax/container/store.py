"""The container: the stored objects of a Zarr v3 array, read and written.

Format version 1, specified in ``FORMAT.md``. An object is a chunk, or a shard of chunks with an index; each
chunk is the payload of ``chunks`` closed by the CRC-32C of Zarr's codec of that name.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import shutil
import struct
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorstore as ts

from nvc_jax.autoencoder.blocks import Shape3
from nvc_jax.chunks.payload import Frame, read_frame
from nvc_jax.container.metadata import INDEX_CODECS, FormatError, Header
from nvc_jax.core.byte_codecs import pack, unpack
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.io.locations import (
    Location,
    lies_within,
    local_path,
    open_directory,
    open_location,
    open_spec,
    write_zip,
)
from nvc_jax.io.volumes import check_replaceable, put_in_place
from nvc_jax.models.checkpoints import extract_model
from nvc_jax.models.codec import Codec, load_codec

Index = tuple[int, ...]

_METADATA = "zarr.json"
_STARTED = ".nvc-started.json"  # metadata of a store that is being written where nothing can be renamed
_CRC_BYTES = 4


class Store:
    """The chunks of a container.

    Args:
        objects: the keys below the container.
        header: its metadata.
        name: of the container, for messages.
    """

    def __init__(self, objects: ts.KvStore, header: Header, name: str) -> None:
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
        sealed = {chunk: pack(payload, "crc32c") for chunk, payload in payloads.items()}
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
        yield _METADATA
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
            return unpack(stored, "crc32c", len(stored) - _CRC_BYTES)

    def read_frame(self, index: Index) -> Frame:
        """A chunk's payload, taken apart; errors as of ``read``."""
        payload = self.read(index)
        with self.reading(index):
            return read_frame(payload)

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
        return open_spec(spec)

    def _key_in_shard(self, chunk: Index) -> bytes:
        per = self.header.chunks_per_object
        return struct.pack(">3I", *(i % n for i, n in zip(chunk, per, strict=True)))


def _indices(grid: Shape3) -> Iterator[Index]:
    return itertools.product(*map(range, grid))


def _object_key(index: Index) -> str:
    return "/".join(["c", *map(str, index)])


@contextlib.contextmanager
def create(
    location: Location, header: Header, *, resume: bool = False, shared: bool = False
) -> Iterator[Store]:
    """Create a container and yield its objects to be written.

    Until the block ends without an error, nothing lies under the container's name: in the file system the
    store is in a hidden directory beside it, elsewhere it lacks its ``zarr.json``.

    Args:
        location: where; an existing store is replaced (elsewhere than in the file system, at once).
        header: the metadata.
        resume: go on with what an earlier run left, which must have been of the same header.
        shared: others write objects of the same header at the same time; who comes last completes it. The
            header that is yielded is that of who came first, whose step may be another.

    Raises:
        FileExistsError: there is something that is no Zarr store, or for several writers elsewhere than in
            the file system, a container.
        ValueError: what an earlier run left is of another header.
    """
    _to_json(header)  # raises before anything is lost
    path = local_path(location)
    if path is not None:
        partial = _partial_directory(path)
        if partial.exists() and not (resume or shared):
            shutil.rmtree(partial)
        partial.mkdir(exist_ok=True)
        store = _start(open_directory(partial), _METADATA, header, str(location), shared, partial)
        yield store
        if not shared or (partial.exists() and store.is_complete()):
            _finish_directory(store, partial, path, shared)
        return
    objects = open_location(location)
    if not (resume or shared) or _read_header(objects, _STARTED) is None:
        _clear(objects, str(location), shared)
    store = _start(objects, _STARTED, header, str(location), shared)
    yield store
    if not shared or store.is_complete():
        objects.write(_METADATA, _to_json(store.header)).result()
        objects.write(_STARTED, None).result()


def same_but_step(one: Header, other: Header) -> bool:
    """Whether two headers are of the same source, model, target and layout."""
    one, other = (Header.from_metadata(json.loads(_to_json(header))) for header in (one, other))
    return one == dataclasses.replace(other, step=one.step)


def find_started(location: Location) -> Header | None:
    """The header of a container that someone began to write, or None."""
    path = local_path(location)
    if path is None:
        return _read_header(open_location(location), _STARTED)
    partial = _partial_directory(path)
    return _read_header(open_directory(partial), _METADATA) if partial.is_dir() else None


def check_destination(location: Location) -> None:
    """Raise unless a container can be made at a location: before work is spent on it."""
    path = local_path(location)
    if path is None:
        where = location.get("kvstore", location) if isinstance(location, dict) else str(location)
        url = where if isinstance(where, str) else f"{where.get('driver')}://"
        if url.startswith(("http://", "https://", "zip://")):
            raise ValueError(f"`destination` (={location}) is read-only: containers are not written there")
        if url.endswith(".zip"):
            raise ValueError(f"`destination` (={location}): .zip files are only written to the file system")
    elif path.suffix == ".zip":
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"the directory of `{path}` does not exist")
        if path.is_dir():
            raise FileExistsError(f"`{path}` is a directory; it will not be replaced by a file")
    else:
        check_replaceable(path)


def would_replace(location: Location, source: ts.KvStore) -> bool:
    """Whether the keys of ``source`` would be replaced by a container."""
    path = local_path(location)
    return lies_within(source, open_location(location) if path is None else open_directory(path))


def _partial_directory(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.partial")


def _finish_directory(store: Store, partial: Path, path: Path, shared: bool) -> None:
    if shared:
        # One of several that saw the last object: who can take the directory away.
        mine = partial.with_name(f"{partial.name}.{uuid.uuid4().hex}")
        try:
            os.rename(partial, mine)
        except FileNotFoundError:
            return
        partial = mine
    if path.suffix == ".zip":
        write_zip(partial, store.keys(), path)
        shutil.rmtree(partial)
    else:
        put_in_place(partial, path)


def _start(
    objects: ts.KvStore, key: str, header: Header, name: str, shared: bool, where: Path | None = None
) -> Store:
    """Store the metadata unless they are there already, and are the same."""
    absent = objects.read(key).result()
    if absent.state == "missing":
        # Only the first of several writers succeeds.
        objects.write(key, _to_json(header), if_equal=absent.stamp.generation).result()
    found = _read_header(objects, key)
    is_same = found is not None and same_but_step(header, found)
    if found is None or not is_same or not (shared or header.step == found.step):
        place = f"; it lies in `{where}`, which may be removed" if where else ""
        raise ValueError(f"what was begun of `{name}` is of another volume, model or target{place}")
    return Store(objects, found, name)


def _read_header(objects: ts.KvStore, key: str) -> Header | None:
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
    return Header.from_metadata(metadata)


def _to_json(header: Header) -> str:
    return json.dumps(header.to_metadata(), indent=1)


def _clear(objects: ts.KvStore, name: str, shared: bool) -> None:
    """Remove an existing store, its metadata first."""
    there = objects.list().result()
    if there and not {_METADATA.encode(), _STARTED.encode()} & set(there):
        raise FileExistsError(f"`{name}` holds something that is no Zarr store; it will not be replaced")
    if there and shared and _read_header(objects, _STARTED) is None:
        raise FileExistsError(f"`{name}` holds another store; where nothing can be renamed, remove it first")
    if shared:  # another writer has begun
        return
    objects.write(_METADATA, None).result()
    objects.delete_range(ts.KvStore.KeyRange()).result()


def open_container(location: Location) -> Store:
    """An existing container.

    Raises:
        FileNotFoundError: there is no such directory or file.
        FormatError: it is no container, or its metadata are damaged.
    """
    objects = open_location(location)
    try:
        header = _read_header(objects, _METADATA)
    except FormatError as error:
        raise FormatError(f"`{location}`: {error}") from error
    if header is None:
        raise FormatError(f"`{location}` is no Zarr v3 array: it lacks `{_METADATA}`")
    return Store(objects, header, str(location))


def is_made(location: Location, header: Header) -> bool:
    """Whether there is a whole container of such a header, but for its step, at a location."""
    try:
        return same_but_step(header, open_container(location).header)
    except (FileNotFoundError, FormatError):
        return False


def load_model(header: Header) -> Codec:
    """The codec that encoded a container: embedded, or shipped with the package.

    Raises:
        FileNotFoundError: neither is there.
        FormatError: the embedded model is damaged or not the one that the header names.
    """
    if header.embedded is None:
        return load_codec(header.sha256)
    try:
        return Codec(*extract_model(header.embedded, header.sha256))
    except ValueError as error:
        raise FormatError(str(error)) from error
