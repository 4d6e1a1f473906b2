"""NumPy files: ``.npy`` and ``.npz``."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import tensorstore as ts

from nvc_jax.io.lazy import Flat, TemporaryCopy


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
