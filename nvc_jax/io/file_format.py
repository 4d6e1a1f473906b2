"""Interface of a file format that volumes are read from and written to.

A module of a format (``nifti``, ``tiff``, …) has two functions that take a ``SourceFile``: one opens the
volume lazily, one reads its metadata. A format that is written, too, has a function that creates a file with
its headers and tells where the samples are. ``nvc_jax.io.formats.FORMATS`` lists them by suffix.
"""

import dataclasses
import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.shapes import MAX_RANK, MIN_RANK, Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata

_COPY_BYTES = 1 << 20
"""Bytes that are compressed at a time (1 MiB)."""
ANY_RANK = range(MIN_RANK, MAX_RANK + 1)
"""Numbers of axes that a volume may have."""
_GZIP_LEVEL = 6
"""Level of gzip that is usual for NIfTI: higher ones take several times as long for a few per cent."""


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file to read a volume from.

    Attributes:
        path: absolute path of the file.
        name: the file as the caller wrote it, for error messages.
        dataset: path of a dataset inside the file; empty if the caller named none.
    """

    path: Path
    name: str
    dataset: str = ""


def no_metadata(file: SourceFile) -> VolumeMetadata:
    """Return empty metadata, for formats that state only shape and dtype."""
    return VolumeMetadata()


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """A format of files that volumes are read from, and perhaps written to.

    Attributes:
        suffixes: suffixes of file names, with their dots.
        open: opens the volume in a file without loading it. The result has two to five axes, its origin at
            zero, a supported dtype in native byte order, and may be read by several threads.
        read_metadata: reads the metadata of the volume in a file.
        has_datasets: whether a file can hold several volumes, so that ``file::dataset`` names one.
        create: creates a file for a volume of a shape and dtype, with its metadata, and returns the samples
            in it, which need not be there yet; None for a format that is only read.
        check_output: raises before any work if the format cannot hold such a volume at a path, or its library
            is not installed.
        ranks: numbers of axes that files can have that are created.
        arrange: lists the axes of a file that is created, for an array of a shape whose axes have names: for
            each that of the array, or None for one of length 1; None if they are those of the array.
        pack: makes the file from the one that ``create`` made once the samples are there; None if that file
            is the result.
    """

    suffixes: tuple[str, ...]
    open: Callable[[SourceFile], ts.TensorStore]
    read_metadata: Callable[[SourceFile], VolumeMetadata] = no_metadata
    has_datasets: bool = False
    create: Callable[[Path, Shape, np.dtype, VolumeMetadata], FlatArray] | None = None
    check_output: Callable[[Path, Shape, np.dtype], None] | None = None
    ranks: range = range(N_SPATIAL, N_SPATIAL + 1)
    arrange: Callable[[Shape, Sequence[Any] | None], tuple[int | None, ...]] | None = None
    pack: Callable[[Path, Path], None] | None = None


def check_written_dtype(path: Path, dtype: np.dtype, dtypes: tuple[str, ...], format_name: str) -> None:
    """Raise ``TypeError`` unless a format has a dtype."""
    if dtype.name not in dtypes:
        raise TypeError(
            f"`{path}`: {format_name} cannot hold {dtype.name}; it holds {', '.join(dtypes)}: choose another "
            "format, such as .npy, or convert the volume"
        )


def gzip_file(unpacked: Path, packed: Path) -> None:
    """Compress a file. The result holds neither name nor time, so that equal volumes make equal files."""
    with (
        unpacked.open("rb") as stream,
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as archive,
    ):
        shutil.copyfileobj(stream, archive, _COPY_BYTES)
