"""Checks of a destination before any work is spent on it."""

from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.io.atomic import check_replaceable
from nvc_jax.io.locations import Location, lies_within, local_path, open_directory, open_location

_READ_ONLY = ("http://", "https://", "zip://")
"""Schemes of URLs that TensorStore reads and does not write."""


def check_destination(location: Location) -> None:
    """Raise unless a container can be made at a location.

    Raises:
        FileExistsError: a directory lies there that is no Zarr store.
        FileNotFoundError: there is no directory to write to.
        ValueError: containers are not written to such places, or TensorStore does not know the place.
    """
    path = local_path(location)
    if path is None:
        _check_remote(location)
    elif path.suffix == ".zip":
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"the directory of `{path}` does not exist")
        if path.is_dir():
            raise FileExistsError(f"`{path}` is a directory; it will not be replaced by a file")
    else:
        check_replaceable(path)


def _check_remote(location: Location) -> None:
    store = location.get("kvstore", location) if isinstance(location, dict) else str(location)
    url = store if isinstance(store, str) else f"{store.get('driver')}://"
    if url.startswith(_READ_ONLY):
        raise ValueError(f"`destination` (={location}) is read-only: containers are not written there")
    if url.endswith(".zip"):
        raise ValueError(f"`destination` (={location}): .zip files are only written to the file system")
    open_location(location)  # raises where TensorStore does not know it, without reaching out


def check_apart(source: Any, destination: Location) -> None:
    """Raise ``ValueError`` if ``destination`` is the path of the source itself."""
    target = local_path(destination)
    if target is None or not isinstance(source, str | Path):
        return
    path = local_path(source)
    if path is not None and path.resolve() == target.resolve():
        raise ValueError(f"`destination` (={destination}) is the source itself; it would be replaced")


def check_stores_apart(volume: ts.TensorStore, destination: Location) -> None:
    """Raise ``ValueError`` if the keys of ``volume`` would be replaced by a container at ``destination``."""
    if volume.kvstore is None:
        return
    path = local_path(destination)
    objects = open_location(destination) if path is None else open_directory(path)
    if lies_within(volume.kvstore, objects):
        raise ValueError(f"`destination` (={destination}) holds the source itself; it would be replaced")
