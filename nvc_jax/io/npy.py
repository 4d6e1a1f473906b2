"""NumPy files: ``.npy`` and ``.npz``."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import FlatArray, TemporaryCopy
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.readable import unreadable
from nvc_jax.io.written_attributes import warn_of_losses

_BFLOAT16 = np.dtype(jnp.bfloat16)
_VOLUME_MEMBER = "volume"
"""Name of the array that is read from an archive of several."""


def open_npy(file: SourceFile) -> ts.TensorStore:
    """Open a ``.npy`` file, of any byte order and axis order."""
    try:
        with file.path.open("rb") as stream:
            array = _read_layout(file.path, stream)
        if array.dtype.hasobject:  # which are pickled, in another number of bytes
            check_dtype(array.dtype, file.name)
        array.check_size(file.name)
    except (ValueError, EOFError) as error:
        raise ValueError(unreadable(file.name, ".npy array", error)) from error
    return array.as_store(file.name)


def open_npz(file: SourceFile) -> ts.TensorStore:
    """Open the array ``volume`` of a ``.npz`` archive, or its only array.

    The array is unpacked into a temporary file.
    """
    try:
        with zipfile.ZipFile(file.path) as archive, archive.open(_find_member(archive)) as stream:
            copy = TemporaryCopy(stream)
        array = _read_layout(copy, copy.stream())
        array.check_size(file.name)
    except (ValueError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(unreadable(file.name, ".npz volume", error)) from error
    return array.as_store(file.name)


def create_npy(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a ``.npy`` file, little-endian, in C order; of bfloat16 as NumPy does, as two bytes a sample."""
    warn_of_losses(metadata, dtype, "NumPy's format")
    little_endian = dtype.newbyteorder("<")
    descr = np.lib.format.dtype_to_descr(little_endian)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        return FlatArray(path.absolute(), shape, little_endian, file.tell())


def pack_npz(unpacked: Path, packed: Path) -> None:
    """Compress a ``.npy`` file into a ``.npz`` archive."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(unpacked, f"{_VOLUME_MEMBER}.npy")


def _find_member(archive: zipfile.ZipFile) -> str:
    """Return the name of the archive's file that holds the volume."""
    files = archive.namelist()
    members = [name.removesuffix(".npy") for name in files]
    if _VOLUME_MEMBER in members:
        return files[members.index(_VOLUME_MEMBER)]
    if len(members) == 1:
        return files[0]
    raise ValueError(f"it holds {members}; name the volume's member `{_VOLUME_MEMBER}`")


def _read_layout(source: Path | TemporaryCopy, stream: IO[bytes]) -> FlatArray:
    """Read the header of an array; ``stream`` reads ``source`` from its start."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    return FlatArray(source, tuple(shape), _true_dtype(dtype), stream.tell(), "F" if is_fortran else "C")


def _true_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype of the samples of a file.

    NumPy states the dtypes of ml_dtypes as bytes without a meaning. Of two bytes there is bfloat16 alone.

    Raises:
        ValueError: the bytes may be of several dtypes.
    """
    if dtype.kind != "V" or dtype.names is not None:
        return dtype
    if dtype.itemsize == _BFLOAT16.itemsize:
        return _BFLOAT16
    raise ValueError(
        f"its samples are {dtype.itemsize} bytes of a dtype that the file does not state, such as one of "
        "float8; convert the array by `astype('float32')` before it is saved"
    )
