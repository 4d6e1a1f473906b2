"""Downloads of files: continued where they broke off, and checked.

pooch checks the hash and names the file when it is whole. The bytes come by requests, into a hidden file
beside the destination; a run that breaks off leaves that file, and the next one asks the server for the rest,
if the file there is still the same one.
"""

import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.unfinished import unfinished
from nvc_jax.io.locks import locked

_ATTEMPTS = 4
"""Times that a broken connection is made anew in one call."""
_TIMEOUT_SECONDS = 30
"""Seconds without a byte after which a connection is taken for broken."""
_BLOCK_BYTES = 1 << 18
_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416
"""HTTP's statuses for the rest of a file, and for a rest that begins at or after its end."""


@dataclasses.dataclass(frozen=True)
class DownloadProgress:
    """Bytes of a file that have come.

    Attributes:
        done_bytes: those of earlier runs included.
        total_bytes: of the file; None where the server does not say.
        begun_bytes: those of earlier runs.
        stored_bytes, chunk, dtype: 0 and None: nothing is compressed.
    """

    done_bytes: int
    total_bytes: int | None
    begun_bytes: int = 0
    stored_bytes: int = 0
    chunk: None = None
    dtype: None = None


def download(
    url: str,
    path: Path,
    *,
    known_hash: str | None = None,
    pause_seconds: float = 0.5,
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> None:
    """Download a file, or the rest of it.

    Args:
        url: ``http://`` or ``https://``.
        path: of the file, whose directory exists. A file that lies there is replaced by one of the known
            hash; without a known hash it stays, and nothing is downloaded.
        known_hash: as pooch takes it, such as ``sha512:0123…``; None to check nothing but the length.
        pause_seconds: time before a broken connection is made anew; twice as long before each further time.
        on_progress: called again and again.

    Raises:
        BlockingIOError: another run is downloading to ``path``.
        ModuleNotFoundError: pooch is not installed; the message has the command that installs it.
        OSError: the server cannot be reached, or has no such file. What has come is kept.
        ValueError: the hash is another one; nothing is kept.
    """
    pooch = import_extra("pooch", "io")
    pooch.get_logger().setLevel("WARNING")
    partial = _Partial(path, pause_seconds)
    with locked(path, path), unfinished(partial.path, partial.describe):
        pooch.retrieve(
            url,
            known_hash=known_hash,
            fname=path.name,
            path=path.parent,
            downloader=lambda url, output, _: partial.complete(url, Path(output), on_progress),
        )


def file_hash(path: Path, algorithm: str) -> str:
    """Hash a file, in hexadecimal digits; the algorithm is named as ``hashlib`` does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


class _Partial:
    """File that holds the first bytes of a download, and beside it the version that they are of."""

    def __init__(self, path: Path, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self.path = path.with_name(f".{path.name}.part")
        self._version = path.with_name(f".{path.name}.part-version")

    def describe(self) -> str | None:
        """Say what is kept; None if nothing is."""
        size = self._size()
        return f"{size} bytes are kept in `{self.path}`; the same command continues there" if size else None

    def complete(
        self, url: str, output: Path, on_progress: Callable[[DownloadProgress], None] | None
    ) -> None:
        """Fetch what is missing, and give the whole file the name ``output``."""
        exceptions = import_extra("requests", "io").exceptions
        broken = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
        for attempt in range(_ATTEMPTS):
            try:
                self._fetch(url, on_progress)
                break
            except exceptions.HTTPError as error:
                raise OSError(f"`{url}` cannot be downloaded: the server answers {error}") from error
            except broken as error:
                if attempt == _ATTEMPTS - 1:
                    raise OSError(f"`{url}` cannot be downloaded: {_reason(error)}") from error
                time.sleep(self._pause_seconds * 2**attempt)
        os.replace(self.path, output)
        self._version.unlink(missing_ok=True)

    def _size(self) -> int:
        with contextlib.suppress(OSError):
            return self.path.stat().st_size
        return 0

    def _fetch(self, url: str, on_progress: Callable[[DownloadProgress], None] | None) -> None:
        """Ask for the file, or for the rest of the version that was begun, and write what comes."""
        requests = import_extra("requests", "io")
        begun = self._size()
        version = self._version.read_text() if self._version.is_file() else ""
        # If the file has changed, the server sends all of it.
        rest = {"Range": f"bytes={begun}-", "If-Range": version} if begun and version else {}
        headers = {"Accept-Encoding": "identity", **rest}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            if response.status_code == _RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{begun}":
                    return
                self.path.unlink()
                raise requests.exceptions.ConnectionError("the server has another file now")
            response.raise_for_status()
            done = kept = begun if response.status_code == _PARTIAL_CONTENT else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length is not None else None
            self._version.write_text(_version(response.headers))
            with self.path.open("ab" if done else "wb") as file:
                for block in response.iter_content(_BLOCK_BYTES):
                    file.write(block)
                    done += len(block)
                    if on_progress is not None:
                        on_progress(DownloadProgress(done, total, kept))
        if total is not None and done != total:
            raise requests.exceptions.ConnectionError(f"{done} of {total} bytes came")


def _version(headers: Any) -> str:
    """Text by which a server knows the version of a file; empty if there is none that is exact."""
    tag: str = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _reason(error: Exception) -> str:
    """Say in a few words why a connection broke: the innermost cause, without the names of classes."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
