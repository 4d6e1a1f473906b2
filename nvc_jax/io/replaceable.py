"""Checks that a destination may be written: nothing of the user's is replaced without being asked for.

A file is replaced where the user says so (``overwrite``), and so is a directory that is one Zarr array and
nothing else. A directory with anything else in it is never replaced.
"""

import json
import os
import re
from pathlib import Path

from nvc_jax.io.paths import real_path

_DOCUMENTS = ("zarr.json", ".zarray", ".zgroup")
"""Files that mark a directory as a Zarr array or group (version 3, version 2)."""
_ATTRIBUTES = ".zattrs"
_CHUNK = re.compile(r"(c[/.])?\d+([/.]\d+)*")
_CHUNK_DIRECTORY = re.compile(r"c(/\d+)*|\d+(/\d+)*")
LOCK_SUFFIX = ".__lock"
"""End of the name of a file that TensorStore is writing."""
OWN_PREFIX = ".nvc-"
"""Beginning of the names of files that a container holds while it is being written."""

Identity = tuple[int, int, int]
"""Device, inode and time of change, which tell a file from the one that lay at its path before."""


def is_array_key(name: str) -> bool:
    """Tell whether a path below a directory is one that a Zarr array's files have."""
    name = name.removesuffix(LOCK_SUFFIX)
    return (
        name in (*_DOCUMENTS, _ATTRIBUTES)
        or name.startswith(OWN_PREFIX)
        or _CHUNK.fullmatch(name) is not None
    )


def check_replaceable(path: Path, overwrite: bool = False) -> None:
    """Raise unless ``path`` can be written: it is new, an empty directory, or may be replaced.

    Args:
        path: as the user named it.
        overwrite: whether a file, or a directory that is a Zarr array alone, may be replaced.

    Raises:
        FileExistsError: something lies there that is not replaced.
        FileNotFoundError: the parent directory does not exist.
    """
    check_real_path(path, real_path(path), overwrite)


def check_real_path(path: Path, real: Path, overwrite: bool) -> None:
    """Do as ``check_replaceable``, of a path whose real path is known."""
    if not real.name:
        raise FileExistsError(f"`{path}` is the root of the file system; it will not be replaced")
    if not os.path.isdir(real.parent) and not real.parent.is_dir():  # which says what forbids it
        leads = "" if real == Path(os.path.abspath(path)) else f", which leads to `{real}`,"
        raise FileNotFoundError(f"the directory of `{path}`{leads} does not exist; make it first")
    check_outside_arrays(path, real)
    if not os.path.exists(real):
        return
    if os.path.ismount(real):
        raise FileExistsError(f"`{path}` is a mount point, which cannot be replaced; name a path below it")
    if real.is_dir():
        _check_directory(path, real, overwrite)
    elif not real.is_file():
        raise FileExistsError(f"`{path}` is no file but a device or the like; it will not be replaced")
    elif not overwrite:
        raise FileExistsError(f"`{path}` is an existing file; {_advice()}")


def check_only_array(path: Path, real: Path) -> None:
    """Raise ``FileExistsError`` unless a directory, which is not empty, holds a Zarr array and nothing else.

    Args:
        path: as the user named it.
        real: path of the directory.
    """
    if not any((real / key).is_file() for key in _DOCUMENTS):
        raise FileExistsError(
            f"`{path}` is a directory that is no Zarr store (it holds `{_any_entry(real)}`); it will not be "
            "replaced: name a new path"
        )
    foreign = find_foreign(real)
    if foreign is None:
        return
    if _is_group(real):
        raise FileExistsError(
            f"`{path}` is a Zarr group, which holds `{foreign}`; it will not be replaced: name a new array "
            f"in it, such as `{path}/NAME`"
        )
    raise FileExistsError(
        f"`{path}` holds `{foreign}`, which is no part of a Zarr array; it will not be replaced: move "
        f"`{foreign}` away, or name a new path"
    )


def find_foreign(directory: Path) -> str | None:
    """Find a path below a directory that no Zarr array has; None if there is none."""
    for parent, directories, files in os.walk(directory):
        below = os.path.relpath(parent, directory)
        prefix = "" if below == "." else f"{below}/"
        for name in directories:
            is_link = os.path.islink(os.path.join(parent, name))
            if is_link or not _CHUNK_DIRECTORY.fullmatch(prefix + name):
                return prefix + name
        for name in files:
            if not is_array_key(prefix + name):
                return prefix + name
    return None


def identify(path: Path) -> Identity | None:
    """Identify what lies at a real path; None for nothing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _check_directory(path: Path, real: Path, overwrite: bool) -> None:
    if not any(real.iterdir()):
        return
    check_only_array(path, real)
    if not overwrite:
        raise FileExistsError(f"`{path}` is an existing Zarr store; {_advice()}")


def check_outside_arrays(path: Path, real: Path) -> None:
    """Raise ``FileExistsError`` if a path lies inside a Zarr array, which holds nothing but its own files.

    Args:
        path: as the user named it.
        real: the real path.
    """
    above = str(real)
    while above != (parent := os.path.dirname(above)):
        above = parent
        prefix = os.path.join(parent, "")
        if any([os.path.isfile(prefix + key) for key in _DOCUMENTS]) and not _is_group(Path(parent)):
            raise FileExistsError(
                f"`{path}` lies inside `{parent}`, a Zarr array, which holds nothing else; name a path "
                "outside of it"
            )


def _is_group(directory: Path) -> bool:
    try:
        document = json.loads((directory / _DOCUMENTS[0]).read_bytes())
    except (OSError, ValueError):
        return (directory / ".zgroup").is_file()
    return isinstance(document, dict) and document.get("node_type") == "group"


def _any_entry(directory: Path) -> str:
    return min(entry.name for entry in directory.iterdir())


def _advice() -> str:
    return "name a new path, or pass `overwrite` (`--overwrite`) to replace it"
