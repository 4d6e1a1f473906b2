"""The last headers that were read when a source was opened, kept for the reading of its metadata.

The headers of a series of a thousand files take seconds to read.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class LastResult(Generic[_Result]):
    """The result of the last reading, which is handed out once more and then forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[object, _Result] | None = None

    def take(self, path: Path, read: Callable[[], _Result]) -> _Result:
        """Return what was read last, if it was of the same files and these have not changed; or read.

        Args:
            path: of a file, or of a folder whose files are read.
            read: reads them.
        """
        key = (path, _state_of(path))
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None and kept[0] == key:
            return kept[1]
        result = read()
        with self._lock:
            self._kept = (key, result)
        return result


def _state_of(path: Path) -> object:
    """Names, sizes and times of change of the files."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [file.stat() for file in files]
    return [(file.name, s.st_size, s.st_mtime_ns, s.st_ino) for file, s in zip(files, states, strict=True)]
