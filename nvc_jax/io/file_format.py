"""Interface of a file format that volumes are read from.

A module of a format (``nifti``, ``tiff``, …) has two functions that take a ``SourceFile``: one opens the
volume lazily, one reads its metadata. ``nvc_jax.io.volumes.FORMATS`` lists them by suffix.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorstore as ts

from nvc_jax.io.metadata import VolumeMetadata


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
    """A format of files that volumes are read from.

    Attributes:
        suffixes: suffixes of file names, with their dots.
        open: opens the volume in a file without loading it. The result has rank 3, axes z, y, x, its origin
            at zero, a supported dtype in native byte order, and may be read by several threads.
        read_metadata: reads the metadata of the volume in a file.
        has_datasets: whether a file can hold several volumes, so that ``file::dataset`` names one.
    """

    suffixes: tuple[str, ...]
    open: Callable[[SourceFile], ts.TensorStore]
    read_metadata: Callable[[SourceFile], VolumeMetadata] = no_metadata
    has_datasets: bool = False
