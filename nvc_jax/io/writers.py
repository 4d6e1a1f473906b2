"""Volumes written to Zarr 3, and to files of the formats that can be created: at once, or region by region.

A volume appears under its name only when it is complete.
"""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape, check_array_shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.formats import FORMAT_OF_SUFFIX, suffix_of
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata, parse_names
from nvc_jax.io.ome_zarr import LEVEL, axis_names, is_ome_zarr, without_group, write_group
from nvc_jax.io.paths import check_separators, output_path, real_path
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.written_axes import choose_written_axes
from nvc_jax.io.zarr_group import check_variable, create_zarr_array, create_zarr_group

_ZARR = ".zarr"
_SUFFIXES = (*(suffix for suffix, file_format in FORMAT_OF_SUFFIX.items() if file_format.create), _ZARR)
"""Suffixes of volumes that are written."""

CHUNK_SIDE = 128
"""Largest side, in voxels, of the chunks that are written unless the caller says otherwise: a chunk of
float32 is 8 MiB, so that a large volume needs few files and a region still needs few chunks."""


def check_writable(path: Path, shape: tuple[int, ...], dtype: np.dtype, overwrite: bool = False) -> None:
    """Raise unless ``write_volume`` can write such a volume at ``path``: before work is spent on it.

    Raises:
        FileExistsError: something lies there that is not replaced; see ``check_replaceable``.
        FileNotFoundError: the parent directory does not exist.
        ModuleNotFoundError: the library that writes the format is not installed.
        TypeError: the dtype is not supported, or the format does not have it.
        ValueError: the shape does not have two to five axes or not as many as the format holds, a side is
            empty, the suffix is unknown, or the name of a raw file states another shape or dtype.
    """
    sides = check_array_shape(shape)
    check_dtype(dtype)
    suffix = suffix_of(path)
    if suffix not in _SUFFIXES:
        raise ValueError(f"`{path}`: the suffix must be one of {', '.join(_SUFFIXES)}")
    if suffix == _ZARR:
        check_separators(real_path(path))
    check_replaceable(path, overwrite)
    file_format = FORMAT_OF_SUFFIX.get(suffix)
    axes = choose_written_axes(path, sides, None, file_format)
    if file_format is not None and file_format.check_output is not None:
        file_format.check_output(path, axes.file_shape, dtype)


@contextlib.contextmanager
def writing(
    path: Path | str,
    shape: Sequence[int],
    dtype: np.dtype | str,
    *,
    chunk: Sequence[int] | None = None,
    metadata: VolumeMetadata | None = None,
    variable: str | None = None,
    overwrite: bool = False,
) -> Iterator[ts.TensorStore]:
    """Yield a store to write a volume to, region by region and by several threads.

    The volume is written to a temporary file beside ``path``, which gets that name when the block ends
    without an error. Voxels that are not written are zero. Regions of complete
    chunks are written without being read.

    Args:
        path: path of a volume whose suffix is ``.zarr`` (``.ome.zarr`` for OME-Zarr) or that of a format that
            is written.
        shape: of the volume, which has two to five axes.
        dtype: dtype of the volume.
        chunk: voxels along each axis to write at a time, and in a chunk of Zarr; at most 128 along the last
            three axes and 1 along others if None.
        metadata: metadata to keep in Zarr's attributes, or as far as the format has a place for them.
        variable: name of the array in a Zarr group that has coordinates, too, as xarray reads it; None for a
            Zarr array alone, and for any other format.
        overwrite: whether a file or Zarr array that lies at ``path`` may be replaced.

    Raises:
        BlockingIOError: another run is writing to ``path``.
        FileExistsError: something lies there that is not replaced; see ``check_replaceable``.
        FileNotFoundError: the parent directory does not exist.
        OSError: the disk is full.
        TypeError: the dtype is not supported.
        ValueError: the shape does not have two to five axes or not as many as the format holds, a side of
            volume or chunk is empty, the suffix is unknown, the name of a raw file states another shape or
            dtype, or an axis has the name of the variable.
    """
    path, sides, dtype = output_path(path), check_array_shape(tuple(shape), "shape"), np.dtype(dtype)
    check_writable(path, sides, dtype, overwrite)
    metadata = metadata or VolumeMetadata()
    check_variable(variable, metadata, len(sides))
    chunk_shape = _chunk_shape(sides, chunk)

    with replacing(path, overwrite=overwrite) as partial:
        if suffix_of(path) == _ZARR:
            with naming(path):
                if variable is not None:
                    store = create_zarr_group(partial, variable, sides, dtype, chunk_shape, metadata)
                else:
                    create = _create_ome_zarr if is_ome_zarr(path) else _create_zarr
                    store = create(partial, sides, dtype, chunk_shape, metadata)
            yield store
            return
        file_format = FORMAT_OF_SUFFIX[suffix_of(path)]
        assert file_format.create is not None  # or `check_writable` has refused the suffix
        unpacked = partial if file_format.pack is None else partial.with_name(f"{partial.name}.unpacked")
        with naming(path):
            axes = choose_written_axes(path, sides, metadata.dimension_names, file_format)
            array = file_format.create(unpacked, axes.file_shape, dtype, axes.select(metadata))
            _reserve(array)
            chunk_in_file = dataclasses.replace(axes, shape=chunk_shape).file_shape
            store = array.as_store(str(path), writable=True, chunk=chunk_in_file)
        yield axes.view(store)
        if file_format.pack is not None:
            with naming(path):
                file_format.pack(unpacked, partial)


def _chunk_shape(shape: Shape, chunk: Sequence[int] | None) -> Shape:
    """Return the shape of the chunks that are written."""
    n_before = max(len(shape) - N_SPATIAL, 0)
    default = ((1,) * n_before + (CHUNK_SIDE,) * N_SPATIAL)[: len(shape)]
    sides = check_array_shape(default if chunk is None else tuple(chunk), "chunk")
    if len(sides) != len(shape):
        raise ValueError(f"`chunk` (={sides}) must have as many axes as `shape` (={shape})")
    return tuple(map(min, sides, shape))


def write_volume(
    path: Path | str,
    volume: np.ndarray,
    *,
    chunk: Sequence[int] | None = None,
    metadata: VolumeMetadata | None = None,
    overwrite: bool = False,
) -> None:
    """Write a volume as Zarr 3, or as a file of the format that the suffix states.

    The file appears under its name when it is complete. The arguments and errors are those of ``writing``.
    """
    volume = np.asarray(volume)
    check_writable(output_path(path), volume.shape, volume.dtype, overwrite)
    with writing(
        path, volume.shape, volume.dtype, chunk=chunk, metadata=metadata, overwrite=overwrite
    ) as store:
        thickness = (store.chunk_layout.write_chunk.shape or volume.shape)[0] or 1
        for z in range(0, volume.shape[0], thickness):
            slab = volume[z : z + thickness]
            with naming(path):
                store[z : z + slab.shape[0]].write(slab).result()


def _reserve(array: FlatArray) -> None:
    """Reserve disk space for the samples of a file; those that are not written are zero."""
    assert isinstance(array.file, Path)
    with array.file.open("r+b") as file:
        _allocate(file.fileno(), array.offset, array.end)
        if file.seek(0, os.SEEK_END) < array.end:
            file.truncate(array.end)


def _allocate(descriptor: int, start: int, end: int) -> None:
    """Reserve disk space for bytes of a file, if the system can.

    A write to a memory map for which the disk has no space would kill the process; here a full disk is an
    error.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, end - start)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system cannot reserve space
            raise


def _create_ome_zarr(
    path: Path, shape: Shape, dtype: np.dtype, chunk: Sequence[int], metadata: VolumeMetadata
) -> ts.TensorStore:
    """Create a group with an array whose axes have the names that the group states."""
    write_group(path, metadata, shape)
    names = parse_names(axis_names(metadata, len(shape)), len(shape))
    named = dataclasses.replace(metadata, dimension_names=names, attributes=without_group(metadata))
    return _create_zarr(path / LEVEL, shape, dtype, chunk, named)


def _create_zarr(
    path: Path, shape: Shape, dtype: np.dtype, chunk: Sequence[int], metadata: VolumeMetadata
) -> ts.TensorStore:
    names = metadata.complete_names(len(shape))
    return create_zarr_array(path, shape, dtype, chunk, names, metadata.as_attributes(dtype))
