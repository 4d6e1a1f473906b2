"""Lazy stores: a ``TensorStore`` over a function that reads a region, and over an array in a flat file.

A flat file holds its samples one after the other, not compressed. It is mapped into memory anew for each
read, and the map is dropped afterwards: pages that stay mapped would count as resident memory.
"""

import dataclasses
import io
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import tensorstore as ts

from nvc_jax.core.aligned_arrays import empty_aligned
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.deferred import Deferred
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import MAX_RANK, check_array_shape
from nvc_jax.io.memory import array_of
from nvc_jax.io.metadata import kept_axes

Index = tuple[slice | int, ...]

CACHE_BYTES = 128 << 20
"""Bytes of decoded chunks that a source keeps in memory (128 MiB). A source that is read chunk by chunk may
itself have larger chunks; without a cache each of them would be decoded once for every chunk that it
overlaps."""

_CHUNK_SIDE = 64
"""Side, in voxels, of the pieces in which a source without chunks of its own is read. A piece of float32 is
1 MiB: large enough to outweigh the call of a Python function, small enough that few voxels are cheap."""

_N_THREADS = 4
"""Number of pieces that one lazy store reads at the same time; each is held in memory while it is read."""

_COPY_BYTES = 1 << 20
"""Bytes that are copied at a time into a temporary file (1 MiB), so that unpacking needs little memory."""


def lazy_store(
    read: Callable[[Index], Any],
    shape: Sequence[int],
    dtype: np.dtype,
    name: str,
    *,
    write: Callable[[Index, np.ndarray], None] | None = None,
    chunk: Sequence[int] | None = None,
    axis_names: Sequence[Any] | None = None,
    rank: int = MAX_RANK,
    cache_bytes: int = 0,
) -> ts.TensorStore:
    """Make a store of two to five axes whose chunks are read, and written, by functions.

    Several threads may call the functions at the same time.

    Args:
        read: returns the array at an index: a slice for each axis that is kept, 0 for each that is dropped.
        shape: shape of the source; axes of length 1 may be dropped, see ``kept_axes``.
        dtype: dtype of the source, in any byte order.
        name: name of the source, for error messages.
        write: stores an array at an index; None for a store that is only read.
        chunk: voxels along each axis of ``shape`` to read or write at a time; 64³ of the last axes if None.
        axis_names: names of the axes, see ``kept_axes``.
        rank: number of axes that may remain, see ``kept_axes``.
        cache_bytes: bytes of the chunks read last that stay in memory.

    Returns:
        A store of the native byte order.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: the source does not have two to five axes, or a side is empty.
    """
    kept = kept_axes(shape, axis_names, rank)
    sides = check_array_shape(tuple(shape[axis] for axis in kept), name)
    native = np.dtype(dtype).newbyteorder("=")
    check_dtype(native, name)

    functions, is_writable = Deferred((read, write)), write is not None

    def source_index(domain: ts.IndexDomain) -> Index:
        index: list[slice | int] = [0] * len(shape)
        for axis, part in zip(kept, domain.index_exp, strict=True):
            index[axis] = part
        return tuple(index)

    def read_chunk(domain: ts.IndexDomain, values: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        values[...] = functions.value[0](source_index(domain))

    def write_chunk(domain: ts.IndexDomain, values: np.ndarray, _: ts.VirtualChunkedWriteParameters) -> None:
        store_part = functions.value[1]
        assert store_part is not None
        store_part(source_index(domain), values)

    default = [1] * max(len(kept) - 3, 0) + [_CHUNK_SIDE] * 3
    chunk_sides = default[: len(kept)] if chunk is None else [chunk[axis] for axis in kept]
    chunk_shape = [min(pair) for pair in zip(chunk_sides, sides, strict=True)]
    # The store has threads of its own. With the threads that all stores share it could wait for ever: they
    # may all be busy with another store that calls this one.
    context = ts.Context(
        {
            "data_copy_concurrency": {"limit": _N_THREADS},
            "cache_pool": {"total_bytes_limit": cache_bytes},
        }
    )
    return ts.virtual_chunked(
        read_chunk,
        write_chunk if is_writable else None,
        dtype=ts.dtype(native),
        shape=sides,
        chunk_layout=ts.ChunkLayout(chunk_shape=chunk_shape),
        context=context,
    )


class OpenFile:
    """A file that is open for reading as long as the object exists.

    The thread that drops the last reference closes it, by one call of the system that takes no lock.

    Args:
        descriptor: of the file; it belongs to the object from here on.
    """

    _descriptor: int | None = None

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._descriptor is not None:  # or making the object has failed
            close(self._descriptor)

    @property
    def size(self) -> int:
        """Number of bytes of the file."""
        assert self._descriptor is not None
        return os.fstat(self._descriptor).st_size

    def stream(self, name: str = "") -> IO[bytes]:
        """Make a file object, at the beginning of the file, that must not outlive this object."""
        assert self._descriptor is not None
        raw = io.FileIO(self._descriptor, closefd=False)
        raw.name = name
        raw.seek(0)
        return io.BufferedReader(raw)

    def map(self, start: int, end: int) -> mmap.mmap:
        """Map the bytes from ``start``, a multiple of ``mmap.ALLOCATIONGRANULARITY``, to ``end``."""
        assert self._descriptor is not None
        return mmap.mmap(self._descriptor, end - start, access=mmap.ACCESS_READ, offset=start)


class TemporaryCopy(OpenFile):
    """Content of a stream in a temporary file without a name, which is removed together with the object."""

    def __init__(self, stream: IO[bytes]) -> None:
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
            file.flush()
            super().__init__(os.dup(file.fileno()))


@dataclasses.dataclass(frozen=True)
class FlatArray:
    """An array in a file, sample after sample.

    Attributes:
        file: the file.
        shape: shape of the array, of any rank.
        dtype: dtype of the samples, in the byte order of the file.
        offset: byte of the file at which the array begins.
        order: ``C`` if the last axis varies fastest, ``F`` if the first does.
    """

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
        """Raise ``ValueError`` if the file is too short to hold the array."""
        size = self.file.stat().st_size if isinstance(self.file, Path) else self.file.size
        if size < self.end:
            raise ValueError(f"`{name}` holds {size} bytes; its header says {self.end}")

    def read(self, index: Index) -> np.ndarray:
        """Return the samples at ``index``: a view of a memory map that is dropped together with it."""
        return self._map("r")[index]

    def write(self, index: Index, values: np.ndarray) -> None:
        """Store ``values`` at ``index``."""
        self._map("r+")[index] = values

    def as_store(
        self,
        name: str,
        *,
        writable: bool = False,
        chunk: Sequence[int] | None = None,
        axis_names: Sequence[Any] | None = None,
        rank: int = MAX_RANK,
    ) -> ts.TensorStore:
        """Make a lazy store of the array; the arguments are those of ``lazy_store``."""
        return lazy_store(
            self.read,
            self.shape,
            self.dtype,
            name,
            write=self.write if writable else None,
            chunk=chunk,
            axis_names=axis_names,
            rank=rank,
        )

    def _map(self, mode: Literal["r", "r+"]) -> np.ndarray:
        if isinstance(self.file, Path):
            return np.memmap(self.file, self.dtype, mode, self.offset, self.shape, self.order)
        start = self.offset - self.offset % mmap.ALLOCATIONGRANULARITY
        mapped = self.file.map(start, self.end)
        return np.ndarray(self.shape, self.dtype, mapped, self.offset - start, order=self.order)


def read_region(volume: ts.TensorStore, region: Region) -> np.ndarray:
    """Read the voxels of a region of a volume; every true of bool is the byte 1.

    Returns:
        An array in C order that JAX can take without a copy, see ``core.aligned_arrays``.
    """
    part, array = volume[region], array_of(volume)
    values = empty_aligned(part.shape, volume.dtype.numpy_dtype)
    if array is not None:
        np.copyto(values, array[region])
        return values
    ts.array(values).write(part).result()
    return values.view(np.uint8) != 0 if values.dtype == np.bool_ else values


def view_region(volume: ts.TensorStore, region: Region) -> np.ndarray:
    """View the voxels of a region of an array in memory, in any order, or read those of another volume."""
    array = array_of(volume)
    return read_region(volume, region) if array is None else array[region]
