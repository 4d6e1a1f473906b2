"""Where containers lie: directories, ``.zip`` files, URLs and TensorStore specs, each as a ``ts.KvStore``."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.io.atomic import replacing

Location = str | Path | dict[str, Any]
"""A path, a URL (``file://``, ``gs://``, ``s3://``, ``http(s)://``), or a TensorStore spec: of a key-value
store, or of an array in one."""


_RETRIES = {"max_retries": 6, "initial_delay": "500ms", "max_delay": "8s"}
_CONTEXT = ts.Context(
    {
        # Threads of its own: those that all share may be waiting for what is read here.
        "data_copy_concurrency": {"limit": 4},
        "cache_pool": {"total_bytes_limit": 1 << 22},  # indices of shards and of .zip files
        # TensorStore's own would try for a quarter of an hour.
        **dict.fromkeys(("http_request_retries", "s3_request_retries", "gcs_request_retries"), _RETRIES),
    }
)


def open_spec(spec: str | dict[str, Any]) -> ts.KvStore:
    """The keys that a URL or TensorStore spec names."""
    return ts.KvStore.open(spec, context=_CONTEXT).result()


def local_path(location: Location) -> Path | None:
    """The path of a location in the file system, or None."""
    if isinstance(location, Path):
        return location
    if isinstance(location, dict):
        return None
    if location.startswith("file://"):
        return Path(location.removeprefix("file://"))
    return None if "://" in location else Path(location)


def open_location(location: Location) -> ts.KvStore:
    """The keys below a location; of a ``.zip`` file those inside it.

    Raises:
        FileNotFoundError: there is no such file or directory.
        ValueError: no such kind of location.
    """
    path = local_path(location)
    if path is not None:
        if not path.exists():
            raise FileNotFoundError(f"the container `{location}` does not exist")
        if path.is_dir():
            return open_directory(path)
        return _open_zip({"driver": "file", "path": str(path.absolute())})
    if isinstance(location, dict):
        if others := sorted(location.keys() - {"driver", "kvstore"} if "kvstore" in location else ()):
            raise ValueError(f"the spec {location} of a container must not have {', '.join(others)}")
        return rooted(open_spec(location.get("kvstore", location)))
    url = str(location)
    return _open_zip(url) if url.endswith(".zip") else rooted(open_spec(url))


def open_directory(path: Path) -> ts.KvStore:
    """The files below a directory, which need not exist."""
    return open_spec({"driver": "file", "path": f"{path.absolute()}/"})


def _open_zip(base: str | dict[str, Any]) -> ts.KvStore:
    return open_spec({"driver": "zip", "base": base})


def rooted(store: ts.KvStore) -> ts.KvStore:
    """A store whose path is that of a directory."""
    return store if not store.path or store.path.endswith("/") else store / "/"


def lies_within(inner: ts.KvStore, outer: ts.KvStore) -> bool:
    """Whether the keys of one store are keys of the other."""
    inside, outside = inner.spec().to_json(), outer.spec().to_json()
    path, prefix = (str(spec.pop("path", "")) for spec in (inside, outside))
    return bool(inside == outside and path.startswith(prefix))


def write_zip(directory: Path, names: Iterable[str], path: Path) -> None:
    """Files below a directory as one file, not compressed again; it appears as a whole."""
    with replacing(path) as draft:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(directory / name, name)
        with open(draft, "rb") as written:
            os.fsync(written.fileno())
