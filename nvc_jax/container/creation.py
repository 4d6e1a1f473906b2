"""Creation of a container: begun, resumed, shared by several writers, completed.

In the file system a container that is being written lies in a hidden directory beside its name, and is
renamed when it is complete. Elsewhere nothing can be renamed: there it lacks its ``zarr.json`` until it is
complete.
"""

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
from nvc_jax.container.store import METADATA_KEY, ContainerStore, open_container, read_metadata_at
from nvc_jax.io.atomic import put_in_place
from nvc_jax.io.locations import Location, local_path, open_directory, open_location, write_zip

_STARTED_KEY = ".nvc-started.json"
"""Key of the metadata while a container is being written where nothing can be renamed."""


@contextlib.contextmanager
def create(
    location: Location, metadata: ContainerMetadata, *, resume: bool = False, shared: bool = False
) -> Iterator[ContainerStore]:
    """Create a container and yield its store to be written.

    Until the block ends without an error, nothing lies under the container's name.

    Args:
        location: of the container; an existing one is replaced (elsewhere than in the file system, at once).
        metadata: of the container.
        resume: continue an earlier run, which must have had the same metadata.
        shared: other processes write objects of the same container at the same time; the last to finish
            completes it. The store that is yielded has the metadata of the first, whose step may differ.

    Raises:
        FileExistsError: something lies there that is no Zarr store, or for several writers elsewhere than in
            the file system, a container.
        ValueError: an earlier run had other metadata.
    """
    metadata.to_text()  # raises before anything is lost
    path = local_path(location)
    if path is None:
        yield from _create_remote(location, metadata, resume, shared)
    else:
        yield from _create_local(path, location, metadata, resume, shared)


def _create_local(
    path: Path, location: Location, metadata: ContainerMetadata, resume: bool, shared: bool
) -> Iterator[ContainerStore]:
    """Create a container in the file system."""
    partial = _partial_directory(path)
    if partial.exists() and not (resume or shared):
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    store = _start(open_directory(partial), METADATA_KEY, metadata, str(location), shared, partial)
    yield store
    if not shared:
        _put_in_place(store, partial, path)
    elif partial.exists() and store.is_complete():
        _complete_shared(store, partial, path)


def _create_remote(
    location: Location, metadata: ContainerMetadata, resume: bool, shared: bool
) -> Iterator[ContainerStore]:
    """Create a container where nothing can be renamed."""
    objects = open_location(location)
    if not (resume or shared) or read_metadata_at(objects, _STARTED_KEY) is None:
        _clear(objects, str(location), shared)
    store = _start(objects, _STARTED_KEY, metadata, str(location), shared)
    yield store
    if not shared or store.is_complete():
        objects.write(METADATA_KEY, store.metadata.to_text()).result()
        objects.write(_STARTED_KEY, None).result()


def find_started(location: Location) -> ContainerMetadata | None:
    """Find the metadata of a container that a process began to write; None where there is none."""
    path = local_path(location)
    if path is None:
        return read_metadata_at(open_location(location), _STARTED_KEY)
    partial = _partial_directory(path)
    return read_metadata_at(open_directory(partial), METADATA_KEY) if partial.is_dir() else None


def is_complete(location: Location, metadata: ContainerMetadata) -> bool:
    """Tell whether a complete container with this metadata, except for its step, lies at a location."""
    try:
        return _agree_but_for_step(metadata, open_container(location).metadata)
    except (FileNotFoundError, FormatError):
        return False


def _agree_but_for_step(first: ContainerMetadata, second: ContainerMetadata) -> bool:
    """Tell whether two containers have the same source, model, target and layout."""
    first, second = (ContainerMetadata.from_json(json.loads(one.to_text())) for one in (first, second))
    return first == dataclasses.replace(second, step=first.step)


def _partial_directory(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.partial")


def _complete_shared(store: ContainerStore, partial: Path, path: Path) -> None:
    """Complete a container that several processes wrote, if this one is the first to rename the directory."""
    renamed = partial.with_name(f"{partial.name}.{uuid.uuid4().hex}")
    try:
        os.rename(partial, renamed)
    except FileNotFoundError:
        return
    _put_in_place(store, renamed, path)


def _put_in_place(store: ContainerStore, partial: Path, path: Path) -> None:
    """Give a complete container its name."""
    if path.suffix == ".zip":
        write_zip(partial, store.keys(), path)
        shutil.rmtree(partial)
    else:
        put_in_place(partial, path)


def _start(
    objects: ts.KvStore,
    key: str,
    metadata: ContainerMetadata,
    name: str,
    shared: bool,
    directory: Path | None = None,
) -> ContainerStore:
    """Store the metadata, or check that those which are there already are the same."""
    current = objects.read(key).result()
    if current.state == "missing":
        # Of several writers only the first succeeds.
        objects.write(key, metadata.to_text(), if_equal=current.stamp.generation).result()
    started = read_metadata_at(objects, key)
    agrees = started is not None and _agree_but_for_step(metadata, started)
    if started is None or not agrees or not (shared or metadata.step == started.step):
        place = f"; it lies in `{directory}`, which may be removed" if directory else ""
        raise ValueError(f"the container `{name}` was begun with another volume, model or target{place}")
    return ContainerStore(objects, started, name)


def _clear(objects: ts.KvStore, name: str, shared: bool) -> None:
    """Remove an existing container, its metadata first."""
    keys = objects.list().result()
    if keys and not {METADATA_KEY.encode(), _STARTED_KEY.encode()} & set(keys):
        raise FileExistsError(f"`{name}` holds something that is no Zarr store; it will not be replaced")
    if keys and shared and read_metadata_at(objects, _STARTED_KEY) is None:
        raise FileExistsError(f"`{name}` holds another store; where nothing can be renamed, remove it first")
    if shared:  # another writer has begun
        return
    objects.write(METADATA_KEY, None).result()
    objects.delete_range(ts.KvStore.KeyRange()).result()
