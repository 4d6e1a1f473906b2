"""Detached NRRD headers whose samples are in several files, which a list or a pattern of names states."""

import re
import shlex
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from nvc_jax.io.lazy import FlatArray, Index

_LIST = re.compile(rb"data ?file:\s*LIST\b", re.IGNORECASE)
_PATTERN = re.compile(r"[^%]*%0?\d*d[^%]*")
_MOST_LINES, _MOST_LINE_BYTES = 100_000, 1 << 16
"""Lines of a header, and bytes of one of them, that are read at most."""
_MOST_FILES = 1_000_000


def read_header(nrrd: Any, stream: IO[bytes]) -> dict[str, Any]:
    """Read a header with pynrrd, and the list of files after it, which pynrrd does not read.

    Afterwards the stream is behind the header. A list becomes the field ``data file``: its own line first,
    then the names.
    """
    lines: list[bytes] = []
    while len(lines) < _MOST_LINES and (line := stream.readline(_MOST_LINE_BYTES)).strip():
        lines.append(line)
        if _LIST.match(line):
            header = dict(nrrd.read_header(lines))
            names = [name.decode().strip() for name in stream.readlines()]
            header.pop("datafile", None)
            stated = line.decode().partition(":")[2].strip()
            return header | {"data file": [stated, *(name for name in names if name)]}
    stream.seek(0)
    return dict(nrrd.read_header(stream))


def list_parts(stated: Any) -> tuple[list[str], int | None] | None:
    """List the files that the field ``data file`` states, and the rank of each; None if it names one file.

    Raises:
        ValueError: a pattern or a rank is malformed, or there are too many files.
    """
    if isinstance(stated, list):
        words = stated[0].split()
        return stated[1:], int(words[1]) if len(words) > 1 else None
    words = shlex.split(str(stated))
    if len(words) < 4 or not _PATTERN.fullmatch(words[0]):
        return None
    first, last, step = (int(word) for word in words[1:4])
    if step == 0 or not 0 < len(range(first, last + (1 if step > 0 else -1), step)) <= _MOST_FILES:
        raise ValueError(f"its pattern of data files (={stated}) names no files, or too many")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return [words[0] % number for number in numbers], int(words[4]) if len(words) > 4 else None


class Parts:
    """An array whose slabs along the slowest axis are in files of their own, not compressed.

    Args:
        directory: directory of the header.
        names: names of the files.
        rank: rank of the array in each, if stated.
        shape, dtype: of the whole array, slowest axis first.
        offset: bytes before the samples in each file; -1 for samples that are the last bytes.

    Raises:
        ValueError: the files do not fit the shape, or one is missing or too short.
    """

    def __init__(
        self,
        directory: Path,
        names: list[str],
        rank: int | None,
        shape: tuple[int, ...],
        dtype: np.dtype,
        offset: int,
    ) -> None:
        n_planes = shape[0]
        is_slab = rank in (None, len(shape)) or (rank == len(shape) - 1 and len(names) == n_planes)
        if not names or n_planes % len(names) or not is_slab:
            raise ValueError(
                f"its {len(names)} data files do not divide the sizes {shape[::-1]} along the last axis"
            )
        self._thickness = n_planes // len(names)
        self._files = []
        for name in names:
            path = (directory / name).absolute()
            if not path.is_file():
                raise ValueError(f"its samples are in `{name}`, which is not a file")
            part = FlatArray(path, (self._thickness, *shape[1:]), dtype)
            start = path.stat().st_size - part.end if offset < 0 else offset
            part = FlatArray(path, part.shape, dtype, max(start, 0))
            part.check_size(name)
            self._files.append(part)
        self._n_planes = n_planes

    def read(self, index: Index) -> np.ndarray:
        """Return the samples at ``index``."""
        first, rest = index[0], index[1:]
        if isinstance(first, int):
            return self._read_plane(first, rest)
        return np.stack([self._read_plane(z, rest) for z in range(self._n_planes)[cast(slice, first)]])

    def _read_plane(self, z: int, rest: Index) -> np.ndarray:
        part = self._files[z // self._thickness]
        return part.read((z % self._thickness, *rest))
