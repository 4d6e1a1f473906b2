"""Locations of containers: directories, ``.zip`` files, URLs and TensorStore specs as key-value stores."""

import contextlib
import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.forks import check_fork
from nvc_jax.io.paths import check_separators, check_url, local_path, real_path, real_spec
from nvc_jax.io.zip_files import list_zip

Location = str | Path | dict[str, Any]
"""A path, a URL (``file://``, ``gs://``, ``s3://``, ``http(s)://``), or a TensorStore spec: of a key-value
store, or of an array in one."""

_N_THREADS = 4
"""Number of threads that copy data for stores of this module."""

_INDEX_CACHE_BYTES = 1 << 22
"""Bytes of indices of shards and ``.zip`` files that are kept (4 MiB): an index is needed for each chunk that
is read. Decoded chunks are not kept here."""

RETRIES = {
    f"{service}_request_retries": {"max_retries": 6, "initial_delay": "500ms", "max_delay": "8s"}
    for service in ("http", "s3", "gcs")
}
"""Resources of a context that retry a failed request over about 20 seconds. TensorStore's default would retry
for a quarter of an hour."""

_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags of opening: not to wait for the writer of a pipe, and not to change line ends."""
_ADVICE = "name a path, a URL of file, http(s), s3 or gs, or a spec with a driver and its fields"
_CONTEXT = ts.Context(
    {
        # Threads of its own: the threads that all stores share may be waiting for data that are read here.
        "data_copy_concurrency": {"limit": _N_THREADS},
        "cache_pool": {"total_bytes_limit": _INDEX_CACHE_BYTES},
        **RETRIES,
    }
)


def open_kvstore(spec: str | dict[str, Any]) -> ts.KvStore:
    """Open the key-value store that a URL or TensorStore spec names.

    Raises:
        ValueError: TensorStore does not know it, or it names no host or bucket.
    """
    check_fork()
    check_url(spec)
    with naming_place(spec):
        return ts.KvStore.open(spec, context=_CONTEXT).result()


@contextlib.contextmanager
def naming_place(spec: str | dict[str, Any]) -> Iterator[None]:
    """Turn errors of TensorStore, which cannot open a place, into a ``ValueError`` that names it."""
    try:
        yield
    except (ValueError, RuntimeError) as error:  # RuntimeError: a name that is no UTF-8
        name = spec if isinstance(spec, str) else json.dumps(spec)
        raise ValueError(f"`{name}` cannot be opened: {error}; {_ADVICE}") from error


def open_location(location: Location) -> ts.KvStore:
    """Open a location for its keys: the files of a directory, or the files inside a ``.zip`` file.

    Raises:
        FileNotFoundError: there is no such file or directory.
        ValueError: TensorStore does not know the URL or spec, the spec has more than a driver and a key-value
            store, or a file is no ``.zip`` file of stored entries.
    """
    path = local_path(location)
    if path is not None:
        if os.path.isdir(path):
            return open_directory(path)
        if not path.exists():
            raise FileNotFoundError(f"the container `{location}` does not exist")
        check_is_file(path)
        list_zip(path)
        check_separators(real_path(path))
        return _open_zip({"driver": "file", "path": str(real_path(path))})
    if isinstance(location, dict):
        if others := sorted(location.keys() - {"driver", "kvstore"} if "kvstore" in location else ()):
            raise ValueError(f"the spec {location} of a container must not have {', '.join(others)}")
        return as_directory(open_kvstore(real_spec(location.get("kvstore", location))))
    url = str(location)
    return _open_zip(url) if url.lower().endswith(".zip") else as_directory(open_kvstore(url))


def check_is_file(path: Path, max_bytes: int | None = None) -> None:
    """Check something that may be missing before it is read: readers of a pipe wait.

    Raises:
        ValueError: it is no file, or one of more than ``max_bytes`` bytes.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_status(os.stat(path), path, max_bytes)


def read_file(path: str, max_bytes: int | None = None) -> bytes | None:
    """Read a file, by few calls of the system; None where there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: as of ``check_is_file``.
    """
    try:
        descriptor = os.open(path, _READING)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        _check_status(status, path, max_bytes)
        content = os.read(descriptor, status.st_size)
        while len(content) < status.st_size and (more := os.read(descriptor, status.st_size - len(content))):
            content += more
        return content
    finally:
        os.close(descriptor)


def _check_status(status: os.stat_result, path: Path | str, max_bytes: int | None) -> None:
    """Raise ``ValueError`` as ``check_is_file`` does."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"`{path}` is no file: it is a directory, a pipe or a device; name a file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise ValueError(f"`{path}` has {status.st_size} bytes; {max_bytes} are the most")


def local_files(objects: ts.KvStore) -> tuple[str | None, Path | None]:
    """Find the directory, with a slash at its end, or the ``.zip`` file of a store."""
    spec = objects.spec().to_json()
    if spec["driver"] == "zip" and spec["base"]["driver"] == "file":
        return None, Path(spec["base"]["path"])
    return spec["path"] if spec["driver"] == "file" else None, None


def read_key(objects: ts.KvStore, key: str, max_bytes: int | None = None) -> bytes | None:
    """Read the value of a key; None where there is no such key.

    Files of a directory are read by this thread: handing them to TensorStore's takes longer than reading.

    Raises:
        OSError, ValueError: it cannot be read, or as of ``check_is_file``.
    """
    directory, _ = local_files(objects)
    if directory is not None:
        return read_file(directory + key, max_bytes)
    result = objects.read(key).result()
    return bytes(result.value) if result.state == "value" else None


def open_directory(path: Path) -> ts.KvStore:
    """Open a directory, which need not exist, for its files as keys."""
    real = real_path(path)
    check_separators(real)
    return open_kvstore({"driver": "file", "path": f"{str(real).rstrip('/')}/"})


def as_directory(store: ts.KvStore) -> ts.KvStore:
    """Return the store with a path that ends in a slash, so that keys are files of a directory."""
    return store if not store.path or store.path.endswith("/") else store / "/"


def lies_within(inner: ts.KvStore, outer: ts.KvStore) -> bool:
    """Return True if the keys of ``inner`` are keys of ``outer``."""
    inner_spec, outer_spec = (real_spec(store.spec().to_json()) for store in (inner, outer))
    path, prefix = (str(spec.pop("path", "")) for spec in (inner_spec, outer_spec))
    return bool(inner_spec == outer_spec and path.startswith(prefix))


def write_zip(directory: Path, names: Iterable[str], path: Path) -> None:
    """Write files of a directory as one ``.zip`` file, and wait until it is on disk.

    The files are not compressed again.

    Args:
        directory: the directory.
        names: paths of the files below it.
        path: path of the ``.zip`` file, a temporary one.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.write(directory / name, name)
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def _open_zip(base: str | dict[str, Any]) -> ts.KvStore:
    return open_kvstore({"driver": "zip", "base": base})
