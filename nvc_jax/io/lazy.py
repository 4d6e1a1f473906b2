"""Lazy stores over a function that reads a region, and flat files behind such a store.

A flat file is mapped anew for each read and the map dropped after it: what stays mapped would count as
resident memory.
"""

import dataclasses
import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import tensorstore as ts

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import check_shape
from nvc_jax.io.metadata import kept_axes

Index = tuple[slice | int, ...]
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


CACHE_BYTES = 256 << 20


def read_part(volume: ts.TensorStore, place: Region) -> np.ndarray:
    """Read the voxels at ``place``, in C order."""
    return np.ascontiguousarray(volume[place].read().result())
