"""Volumes written to files: whole, or region by region, and never seen half-written."""

import contextlib
import errno
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.atomic import check_replaceable, replacing
from nvc_jax.io.lazy import Flat
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.raw import raw_layout

_SUFFIXES = (".npy", ".npz", ".raw", ".zarr")
_CHUNK_SIDE = 128


def check_writable(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise unless ``write_volume`` can store such a volume at ``path``: before work is spent on it."""
    z, y, x = check_shape(shape)
    check_dtype(dtype)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"`{path}`: the suffix must be one of {', '.join(_SUFFIXES)}")
    check_replaceable(path)
    if path.suffix == ".raw" and raw_layout(path) != ((z, y, x), dtype):
        raise ValueError(f"`{path.name}` must end in `_{x}x{y}x{z}_{dtype.name}.raw` for this volume")


@contextlib.contextmanager
def writing(
    path: Path | str,
    shape: Sequence[int],
    dtype: np.dtype | str,
    *,
    chunk: Sequence[int] | None = None,
    metadata: VolumeMetadata | None = None,
) -> Iterator[ts.TensorStore]:
    """A store to write a volume to, region by region and from several threads; see ``write_volume``.

    What is written goes to a file beside ``path`` that takes its place when the block ends without an
    error. Regions that are not written are zero. Regions of whole chunks are written without being read.

    Args:
        path: of a ``.npy``, ``.npz``, ``.raw`` or ``.zarr`` volume.
        shape: (z, y, x) of the volume.
        dtype: of the volume.
        chunk: (z, y, x) voxels to write at a time, and to a chunk of Zarr; at most 128 a side unless given.
        metadata: kept in Zarr's attributes; the other formats have no place for them.

    Raises:
        FileExistsError: ``path`` is a directory that is no Zarr store.
        FileNotFoundError: there is no directory to write to.
        OSError: there is no room.
        TypeError: the dtype is not supported.
        ValueError: wrong rank, an empty side, a chunk that does not fit, or a name that does not suit.
    """
    path, sides, dtype = Path(path), check_shape(tuple(shape), "shape"), np.dtype(dtype)
    check_writable(path, sides, dtype)
    pieces = check_shape(tuple(chunk) if chunk is not None else (_CHUNK_SIDE,) * 3, "chunk")
    pieces = (min(pieces[0], sides[0]), min(pieces[1], sides[1]), min(pieces[2], sides[2]))
    with replacing(path) as partial:
        if path.suffix == ".zarr":
            yield _create_zarr(partial, sides, dtype, pieces, metadata or VolumeMetadata())
        elif path.suffix == ".npz":
            unpacked = partial.with_suffix(".npy")
            yield _create_flat(unpacked, sides, dtype).store(str(path), chunk=pieces)
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(unpacked, "volume.npy")
        else:
            yield _create_flat(partial, sides, dtype).store(str(path), chunk=pieces)


def _create_flat(path: Path, shape: Shape3, dtype: np.dtype) -> "_Writable":
    little = dtype.newbyteorder("<")
    with path.open("wb") as file:
        if path.suffix == ".npy":
            descr = np.lib.format.dtype_to_descr(little)
            np.lib.format.write_array_header_1_0(
                file, {"descr": descr, "fortran_order": False, "shape": shape}
            )
        flat = _Writable(path.absolute(), shape, little, file.tell())
        # Room is taken at once: a map of a file without it would end the process when the disk is full.
        try:
            os.posix_fallocate(file.fileno(), flat.offset, flat.end - flat.offset)
        except AttributeError:
            pass  # not on this system
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # not on this file system
                raise
        file.truncate(flat.end)
    return flat


class _Writable(Flat):
    def store(self, name: str, **options: Any) -> ts.TensorStore:
        return super().store(name, write=self.write, **options)


def _create_zarr(
    path: Path, shape: Shape3, dtype: np.dtype, chunk: Shape3, metadata: VolumeMetadata
) -> ts.TensorStore:
    names = metadata.dimension_names or ("z", "y", "x")
    document = {
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "attributes": metadata.as_attributes(),
        "dimension_names": names,
    }
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path.absolute()}/"},
        "metadata": document,
    }
    return ts.open(spec, create=True).result()


def write_volume(
    path: Path | str,
    volume: np.ndarray,
    *,
    chunk: Sequence[int] | None = None,
    metadata: VolumeMetadata | None = None,
) -> None:
    """Write ``volume`` as ``.npy``, ``.npz``, ``.raw`` or Zarr v3, chosen by the suffix.

    The file appears under its name only when it is whole. An existing file or Zarr store is replaced. The
    arguments and errors are those of ``writing``.
    """
    volume = np.asarray(volume)
    check_writable(Path(path), volume.shape, volume.dtype)
    with writing(path, volume.shape, volume.dtype, chunk=chunk, metadata=metadata) as store:
        thickness = (store.chunk_layout.write_chunk.shape or volume.shape)[0] or 1
        for z in range(0, volume.shape[0], thickness):
            slab = volume[z : z + thickness]
            store[z : z + slab.shape[0]].write(slab).result()
