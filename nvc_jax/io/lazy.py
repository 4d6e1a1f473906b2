"""Lazy stores over a function that reads a region; flat files: ``.npy``, ``.npz``, ``.raw``.

A flat file is mapped anew for each read and the map dropped after it: what stays mapped would count as
resident memory.
"""

import dataclasses
import math
import re
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder.blocks import Shape3, check_shape
from nvc_jax.core.normalization import check_dtype
from nvc_jax.io.metadata import Metadata, attempt, kept_axes, spacing3

Index = tuple[slice | int, ...]

_RAW_NAME = re.compile(
    r"_(?P<x>\d+)x(?P<y>\d+)x(?P<z>\d+)(_(?P<spacing>[\d.]+x[\d.]+x[\d.]+))?_(?P<dtype>u?int\d+|float\d+)\.raw$"
)
_CHUNK_SIDE = 64
_N_READS = 4


def lazy_store(
    read: Callable[[Index], Any],
    shape: Sequence[int],
    dtype: np.dtype,
    name: str,
    *,
    write: Callable[[Index, np.ndarray], None] | None = None,
    chunk: Sequence[int] | None = None,
    axis_names: Sequence[Any] | None = None,
    cache_bytes: int = 0,
) -> ts.TensorStore:
    """A store of rank 3 whose chunks are read, and written, by functions that several threads may call.

    Args:
        read: the array at an index: slices, and 0 along the axes that are dropped.
        shape: of the source; axes of length 1 are dropped until three are left.
        dtype: of the source, in any byte order.
        name: of the source, for errors.
        write: takes an index and what to store there.
        chunk: voxels along each axis of ``shape`` to read or write at a time; 64 unless given.
        axis_names: see ``kept_axes``.
        cache_bytes: of the chunks read last that stay in memory.
    """
    kept = kept_axes(shape, axis_names)
    sides = check_shape(tuple(shape[axis] for axis in kept), name)
    native = np.dtype(dtype).newbyteorder("=")
    check_dtype(native, name)

    def index_of(domain: ts.IndexDomain) -> Index:
        index: list[slice | int] = [0] * len(shape)
        for axis, part in zip(kept, domain.index_exp, strict=True):
            index[axis] = part
        return tuple(index)

    def fill(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        chunk[...] = read(index_of(domain))

    def store(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedWriteParameters) -> None:
        assert write is not None
        write(index_of(domain), chunk)

    wanted = [_CHUNK_SIDE] * 3 if chunk is None else [chunk[axis] for axis in kept]
    return ts.virtual_chunked(
        fill,
        None if write is None else store,
        dtype=ts.dtype(native),
        shape=sides,
        chunk_layout=ts.ChunkLayout(chunk_shape=[min(pair) for pair in zip(wanted, sides, strict=True)]),
        # Threads of its own: whoever reads may be called by a store that the shared threads work for.
        context=ts.Context(
            {
                "data_copy_concurrency": {"limit": _N_READS},
                "cache_pool": {"total_bytes_limit": cache_bytes},
            }
        ),
    )


class TemporaryCopy:
    """What a stream holds, in an unnamed file that is gone when the object is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self.file.close)
        shutil.copyfileobj(stream, self.file, 1 << 20)
        self.file.flush()


@dataclasses.dataclass(frozen=True)
class Flat:
    """An array in a file, element after element."""

    file: Path | TemporaryCopy
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int = 0
    order: Literal["C", "F"] = "C"

    @property
    def end(self) -> int:
        """Offset of the first byte after the array."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    def check_size(self, name: str) -> None:
        """Raise ``ValueError`` where the file ends before the array does."""
        size = self.file.stat().st_size if isinstance(self.file, Path) else self.file.file.seek(0, 2)
        if size < self.end:
            raise ValueError(f"`{name}` holds {size} bytes; its header says {self.end}")

    def _map(self, mode: Literal["r", "r+"]) -> np.memmap:
        file: Any = self.file if isinstance(self.file, Path) else self.file.file
        return np.memmap(file, self.dtype, mode, self.offset, self.shape, self.order)

    def read(self, index: Index) -> np.ndarray:
        """A view of a map of its own."""
        return self._map("r")[index]

    def write(self, index: Index, values: np.ndarray) -> None:
        """Store ``values`` at ``index``."""
        self._map("r+")[index] = values

    def store(self, name: str, **options: Any) -> ts.TensorStore:
        """As a lazy store; ``options`` as in ``lazy_store``."""
        return lazy_store(self.read, self.shape, self.dtype, name, **options)


def open_npy(path: Path, name: str) -> ts.TensorStore:
    """A ``.npy`` file, of any byte and axis order."""
    try:
        with path.open("rb") as file:
            flat = _npy_layout(path, file)
        flat.check_size(name)
    except (ValueError, EOFError) as error:
        raise ValueError(f"`{name}` is not a readable .npy array: {error}") from error
    return flat.store(name)


def open_npz(path: Path, name: str) -> ts.TensorStore:
    """A ``.npz`` archive's member ``volume``, or its only one; unpacked into a temporary file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member.removesuffix(".npy") for member in archive.namelist()]
            member = "volume" if "volume" in members else members[0] if len(members) == 1 else None
            if member is None:
                raise ValueError(f"it holds {members}; name the volume's member `volume`")
            with archive.open(archive.namelist()[members.index(member)]) as stream:
                copy = TemporaryCopy(stream)
        copy.file.seek(0)
        flat = _npy_layout(copy, copy.file)
        flat.check_size(name)
    except (ValueError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"`{name}` is not a readable .npz volume: {error}") from error
    return flat.store(name)


def _npy_layout(source: Path | TemporaryCopy, file: IO[bytes]) -> Flat:
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read_header(file)
    return Flat(source, tuple(shape), dtype, file.tell(), "F" if fortran else "C")


def raw_layout(path: Path) -> tuple[Shape3, np.dtype]:
    """Shape (z, y, x) and dtype that an Open SciVis file name states."""
    match = _match_raw(path)
    shape = check_shape((int(match["z"]), int(match["y"]), int(match["x"])), path.name)
    check_dtype(match["dtype"], path.name)
    return shape, np.dtype(match["dtype"]).newbyteorder("<")


def _match_raw(path: Path) -> re.Match[str]:
    match = _RAW_NAME.search(path.name)
    if match is None:
        raise ValueError(f"`{path.name}` must be named like `name_XxYxZ_dtype.raw`, x fastest")
    return match


def open_raw(path: Path, name: str) -> ts.TensorStore:
    """A ``.raw`` file named as in Open SciVis."""
    shape, dtype = raw_layout(path)
    flat = Flat(path, shape, dtype)
    actual_bytes = path.stat().st_size
    if actual_bytes != flat.end:
        raise ValueError(
            f"`{path.name}` holds {actual_bytes} bytes; its name says {flat.end} "
            f"({shape[2]}·{shape[1]}·{shape[0]} voxels of {dtype.name})"
        )
    return flat.store(name)


def no_metadata(path: Path) -> Metadata:
    """Of files that say nothing but shape and dtype."""
    return Metadata()


def raw_metadata(path: Path) -> Metadata:
    """The spacing that some Open SciVis names state between shape and dtype, x first."""
    match = _match_raw(path)
    return Metadata(spacing=attempt(lambda: spacing3(match["spacing"].split("x")[::-1])))
