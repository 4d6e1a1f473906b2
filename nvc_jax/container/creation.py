"""A container written: created, resumed, shared by several writers, completed."""

import contextlib
import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import tensorstore as ts

from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.store import METADATA_KEY, Store, open_container, read_header
from nvc_jax.io.atomic import check_replaceable, put_in_place
from nvc_jax.io.locations import (
    Location,
    lies_within,
    local_path,
    open_directory,
    open_location,
    write_zip,
)

_STARTED = ".nvc-started.json"  # metadata of a store that is being written where nothing can be renamed


@contextlib.contextmanager
def create(
    location: Location, header: ContainerMetadata, *, resume: bool = False, shared: bool = False
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
        store = _start(open_directory(partial), METADATA_KEY, header, str(location), shared, partial)
        yield store
        if not shared or (partial.exists() and store.is_complete()):
            _finish_directory(store, partial, path, shared)
        return
    objects = open_location(location)
    if not (resume or shared) or read_header(objects, _STARTED) is None:
        _clear(objects, str(location), shared)
    store = _start(objects, _STARTED, header, str(location), shared)
    yield store
    if not shared or store.is_complete():
        objects.write(METADATA_KEY, _to_json(store.header)).result()
        objects.write(_STARTED, None).result()


def same_but_step(one: ContainerMetadata, other: ContainerMetadata) -> bool:
    """Whether two headers are of the same source, model, target and layout."""
    one, other = (ContainerMetadata.from_metadata(json.loads(_to_json(header))) for header in (one, other))
    return one == dataclasses.replace(other, step=one.step)


def find_started(location: Location) -> ContainerMetadata | None:
    """The header of a container that someone began to write, or None."""
    path = local_path(location)
    if path is None:
        return read_header(open_location(location), _STARTED)
    partial = _partial_directory(path)
    return read_header(open_directory(partial), METADATA_KEY) if partial.is_dir() else None


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
    objects: ts.KvStore,
    key: str,
    header: ContainerMetadata,
    name: str,
    shared: bool,
    where: Path | None = None,
) -> Store:
    """Store the metadata unless they are there already, and are the same."""
    absent = objects.read(key).result()
    if absent.state == "missing":
        # Only the first of several writers succeeds.
        objects.write(key, _to_json(header), if_equal=absent.stamp.generation).result()
    found = read_header(objects, key)
    is_same = found is not None and same_but_step(header, found)
    if found is None or not is_same or not (shared or header.step == found.step):
        place = f"; it lies in `{where}`, which may be removed" if where else ""
        raise ValueError(f"what was begun of `{name}` is of another volume, model or target{place}")
    return Store(objects, found, name)


def _to_json(header: ContainerMetadata) -> str:
    return json.dumps(header.to_metadata(), indent=1)


def _clear(objects: ts.KvStore, name: str, shared: bool) -> None:
    """Remove an existing store, its metadata first."""
    there = objects.list().result()
    if there and not {METADATA_KEY.encode(), _STARTED.encode()} & set(there):
        raise FileExistsError(f"`{name}` holds something that is no Zarr store; it will not be replaced")
    if there and shared and read_header(objects, _STARTED) is None:
        raise FileExistsError(f"`{name}` holds another store; where nothing can be renamed, remove it first")
    if shared:  # another writer has begun
        return
    objects.write(METADATA_KEY, None).result()
    objects.delete_range(ts.KvStore.KeyRange()).result()


def is_made(location: Location, header: ContainerMetadata) -> bool:
    """Whether there is a whole container of such a header, but for its step, at a location."""
    try:
        return same_but_step(header, open_container(location).header)
    except (FileNotFoundError, FormatError):
        return False
