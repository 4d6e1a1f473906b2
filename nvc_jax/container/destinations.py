"""Checks of a destination before any work is spent on it."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.container.images import find_levels
from nvc_jax.container.metadata import CODEC_NAME, METADATA_KEY
from nvc_jax.io.locations import Location, check_is_file, lies_within, open_directory, open_location
from nvc_jax.io.paths import check_separators, local_path, real_path
from nvc_jax.io.raw import RawFile
from nvc_jax.io.replaceable import OWN_PREFIX, check_only_array, check_real_path, is_array_key
from nvc_jax.io.selection import unselected

_READ_ONLY = ("http://", "https://", "zip://")
"""Schemes of URLs that TensorStore reads and does not write."""


def check_destination(location: Location, overwrite: bool = False) -> None:
    """Raise unless a container can be made at a location.

    A container of ours that lies there is replaced. Anything else is replaced only where ``overwrite`` says
    so, and a directory that is more than one Zarr array never.

    Raises:
        FileExistsError: something lies there that is not replaced.
        FileNotFoundError: there is no directory to write to.
        ValueError: containers are not written to such places, or TensorStore does not know the place.
    """
    path = local_path(location)
    if path is None:
        _check_remote(location)
        return
    real = real_path(path)
    check_separators(real)
    if os.path.isdir(real):
        if is_zip(path):
            raise FileExistsError(
                f"`{path}` is a directory; it will not be replaced by a file: name a new path"
            )
        if _is_container_document(_read_bytes(real / METADATA_KEY)):
            check_only_array(path, real)
            return
    elif os.path.isfile(real) and _is_container_file(real):
        return
    check_real_path(path, real, overwrite)


def holds_container(location: Any) -> bool:
    """Tell whether a source is the location of a container, damaged or not, or of an image of such."""
    if not isinstance(location, str | Path | dict):
        return False
    path = local_path(location)
    if path is not None and not (path.is_dir() or is_zip(path)):
        return False
    try:
        objects = open_location(location)
        if levels := find_levels(objects):
            objects = objects / f"{levels[0]}/"
        if path is not None and path.is_dir():
            check_is_file(path / (levels or [""])[0] / METADATA_KEY)
        document = objects.read(METADATA_KEY).result()
    except (ValueError, OSError):
        return False
    return document.state == "value" and _is_container_document(bytes(document.value))


def is_zip(path: Path) -> bool:
    """Tell whether the container at a path is one file."""
    return path.suffix.lower() == ".zip"


def check_keys(objects: ts.KvStore, name: str, overwrite: bool) -> list[bytes]:
    """Check that a container may be made where nothing can be renamed, and list the keys that lie there.

    Raises:
        FileExistsError: there is something that is not replaced.
    """
    keys = objects.list().result()
    foreign = min((key.decode() for key in keys if not is_array_key(key.decode())), default=None)
    if foreign is not None:
        raise FileExistsError(
            f"`{name}` holds `{foreign}`, which is no part of a container; it will not be replaced: name a "
            "new place"
        )
    document = objects.read(METADATA_KEY).result()
    is_ours = document.state == "value" and _is_container_document(bytes(document.value))
    is_begun = any(key.decode().startswith(OWN_PREFIX) for key in keys)
    if keys and not (is_ours or is_begun or overwrite):
        raise FileExistsError(
            f"`{name}` holds something that is no container; it will not be replaced: name a new place, or "
            "pass `overwrite` (`--overwrite`)"
        )
    return list(keys)


def _check_remote(location: Location) -> None:
    store = location.get("kvstore", location) if isinstance(location, dict) else str(location)
    url = store if isinstance(store, str) else f"{store.get('driver')}://"
    if url.startswith(_READ_ONLY):
        raise ValueError(
            f"`destination` (={location}) is read-only: containers are not written there; name a path, or an "
            "object store"
        )
    if url.lower().endswith(".zip"):
        raise ValueError(
            f"`destination` (={location}): .zip files are only written to the file system; name one there, "
            "or a place that does not end in .zip"
        )
    open_location(location)  # raises where TensorStore does not know it, without reaching out


def check_apart(source: Any, destination: Location) -> None:
    """Raise ``ValueError`` if source and destination are one path, or one lies inside the other."""
    target = local_path(destination)
    source = unselected(source)
    source = source.path if isinstance(source, RawFile) else source
    if target is None or not isinstance(source, str | Path | dict | np.memmap):
        return
    path = _source_path(source)
    if path is None:
        return
    inner, outer = real_path(path), real_path(target)
    if inner == outer:
        raise ValueError(
            f"`destination` (={destination}) is the source itself; it would be replaced: name another path"
        )
    if outer in inner.parents:
        raise ValueError(
            f"`destination` (={destination}) holds the source itself; it would be replaced: name a path "
            "outside of it"
        )
    if inner in outer.parents:
        raise ValueError(
            f"`destination` (={destination}) lies inside the source, which must not change; name a path "
            "outside of it"
        )


def check_stores_apart(volume: ts.TensorStore, destination: Location) -> None:
    """Raise ``ValueError`` if the keys of ``volume`` and of ``destination`` are not apart."""
    if volume.kvstore is None:
        return
    path = local_path(destination)
    objects = open_location(destination) if path is None else open_directory(path)
    if lies_within(volume.kvstore, objects):
        raise ValueError(
            f"`destination` (={destination}) holds the source itself; it would be replaced: name another "
            "place"
        )
    if lies_within(objects, volume.kvstore):
        raise ValueError(
            f"`destination` (={destination}) lies inside the source, which must not change; name another "
            "place"
        )


def _source_path(source: str | Path | dict[str, Any] | np.memmap) -> Path | None:
    """Return the path of a source; of ``file::dataset`` that of the file."""
    if isinstance(source, np.memmap):
        return None if source.filename is None else Path(source.filename)
    path = local_path(source)
    if path is None or path.exists() or not isinstance(source, str) or "::" not in source:
        return path
    return local_path(source.partition("::")[0])


def _is_container_file(path: Path) -> bool:
    """Tell whether a file is a ``.zip`` file that holds a container and nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if METADATA_KEY not in names or not all(map(is_array_key, names)):
                return False
            return _is_container_document(archive.read(METADATA_KEY))
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False


def _is_container_document(text: bytes) -> bool:
    """Tell whether a ``zarr.json`` is that of a container, of any version, damaged or not."""
    try:
        document = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and _names_codec(document.get("codecs"))


def _names_codec(codecs: Any) -> bool:
    """Tell whether the codec ``nvc`` is among codecs, or among those of shards."""
    for codec in codecs if isinstance(codecs, list) else []:
        if not isinstance(codec, dict):
            continue
        configuration = codec.get("configuration")
        inner = configuration.get("codecs") if isinstance(configuration, dict) else None
        if codec.get("name") == CODEC_NAME or _names_codec(inner):
            return True
    return False


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
