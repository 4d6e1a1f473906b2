"""Raw files: samples and nothing else.

Their layout is in their names, as in the Open SciVis Datasets (``name_XxYxZ_dtype.raw``, x fastest,
little-endian), or the caller states it by a ``RawFile``.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import DTYPES, check_dtype
from nvc_jax.core.shapes import Shape, check_array_shape, default_names
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.locations import check_is_file
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_spacing
from nvc_jax.io.paths import local_path
from nvc_jax.io.written_attributes import warn_of_losses

_RAW_NAMES = [
    re.compile(
        rf"_(?P<sides>\d+(?:x\d+){{{n}}})(_(?P<spacing>[\d.]+(?:x[\d.]+){{{n}}}))?_(?P<dtype>bool|u?int\d+|b?float\d+)\.raw$",
        re.IGNORECASE,
    )
    for n in (2, 1, 3, 4)
]
"""Names of files with three axes, and with two, four and five."""

DTYPE_OF_SUFFIX = {
    **{".f32": "float32", ".f64": "float64", ".d64": "float64"},
    **{".i8": "int8", ".i16": "int16", ".i32": "int32", ".u8": "uint8", ".u16": "uint16", ".u32": "uint32"},
}
"""Dtypes that suffixes of raw files state, as in SDRBench."""

LAYOUT_ADVICE = (
    "or pass the layout of a raw file: `--shape Z,Y,X --dtype DTYPE` (`nvc_jax.RawFile` in Python)"
)
"""Advice in messages about files whose names do not tell what they hold."""
_ORDERS = ("C", "F")
_BYTE_ORDERS = ("little", "big")


@dataclasses.dataclass(frozen=True)
class RawFile:
    """A raw file of any name, whose layout the caller states: a source of a volume.

    Attributes:
        path: path of the file.
        shape: voxels along two to five axes, x last.
        dtype: dtype of the samples; None if the suffix states it: ``.f32``, ``.f64``, ``.d64``, ``.i8``,
            ``.i16``, ``.i32``, ``.u8``, ``.u16``, ``.u32``.
        order: ``"C"`` if the last axis varies fastest, ``"F"`` if the first does.
        byte_order: ``"little"`` or ``"big"``.
    """

    path: Path | str
    shape: Sequence[int]
    dtype: np.dtype | type | str | None = None
    order: Literal["C", "F"] = "C"
    byte_order: Literal["little", "big"] = "little"


def open_raw_file(source: RawFile) -> ts.TensorStore:
    """Open a raw file, which must have exactly the size of its stated layout.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: the dtype is not supported.
        ValueError: the shape does not have two to five axes, a side is empty, an order is unknown, no dtype
            is stated, the size or the file's name states another layout, or the file is elsewhere than in the
            file system.
    """
    path = local_path(source.path)
    if path is None:
        raise ValueError(
            f"`{source.path}` is not in the file system, where raw files are read; copy it there"
        )
    if not path.exists():
        raise FileNotFoundError(f"`{source.path}` does not exist")
    check_is_file(path)
    if not _is_shape(source.shape):
        raise TypeError(
            f"`shape` (={source.shape!r:.80}) must be two to five integers above 0: (z, y, x), such as "
            "(64, 64, 64)"
        )
    shape, dtype = check_array_shape(tuple(source.shape), "shape"), _stated_dtype(source, path)
    if source.order not in _ORDERS:
        raise ValueError(f"`order` (={source.order!r}) must be 'C' (x varies fastest) or 'F' (z does)")

    _check_against_name(path, shape, dtype, source.order)
    array = FlatArray(path.absolute(), shape, dtype, order=source.order)
    _check_bytes(array, path)
    return array.as_store(str(source.path))


def raw_layout(path: Path) -> tuple[Shape, np.dtype]:
    """Return the shape, x last, and the dtype that the name of a raw file states.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: the name does not have the expected form, or a side is empty.
    """
    match = _match_name(path)
    shape = check_array_shape(tuple(map(int, match["sides"].lower().split("x")))[::-1], path.name)
    dtype = match["dtype"].lower()
    check_dtype(dtype, path.name)
    return shape, np.dtype(dtype).newbyteorder("<")


def open_raw(file: SourceFile) -> ts.TensorStore:
    """Open a ``.raw`` file, which must have exactly the size that its name states."""
    shape, dtype = raw_layout(file.path)
    array = FlatArray(file.path, shape, dtype)
    actual_bytes = file.path.stat().st_size
    if actual_bytes != array.end:
        raise ValueError(
            f"`{file.path.name}` holds {actual_bytes} bytes; its name says {array.end} "
            f"({'·'.join(map(str, shape[::-1]))} voxels of {dtype.name}): rename it, or copy it anew"
        )
    return array.as_store(file.name)


def _is_shape(shape: Any) -> bool:
    is_sequence = isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str | bytes)
    return is_sequence and all(isinstance(side, int | np.integer) and side >= 0 for side in shape)


def create_raw(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a raw file, little-endian, x fastest."""
    warn_of_losses(metadata, dtype, "A raw file")
    path.touch()
    return FlatArray(path.absolute(), shape, dtype.newbyteorder("<"))


def check_raw_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``ValueError`` unless the name of a file states the volume's shape and dtype."""
    is_named = any(name.search(path.name) for name in _RAW_NAMES)
    if not is_named or raw_layout(path) != (shape, dtype):
        sides = "x".join(map(str, shape[::-1]))
        raise ValueError(f"`{path.name}` must end in `_{sides}_{dtype.name}.raw` for this volume: name it so")


def raw_metadata(file: SourceFile) -> VolumeMetadata:
    """Return the spacing that some names state between shape and dtype, x first."""
    match = _match_name(file.path)
    rank = match["sides"].lower().count("x") + 1
    spacing = attempt(lambda: parse_spacing(match["spacing"].lower().split("x")[::-1], rank))
    return VolumeMetadata(spacing=spacing)


def _stated_dtype(source: RawFile, path: Path) -> np.dtype:
    """Return the dtype, in its byte order, that the caller or the suffix states."""
    if source.byte_order not in _BYTE_ORDERS:
        raise ValueError(f"`byte_order` (={source.byte_order!r}) must be 'little' or 'big'")
    of_suffix = DTYPE_OF_SUFFIX.get(path.suffix.lower())
    stated = of_suffix if source.dtype is None else source.dtype
    if stated is None:
        match = _search_name(path)
        stated = match["dtype"].lower() if match else None
    if stated is None:
        raise ValueError(
            f"`{source.path}`: neither `dtype` nor the suffix states the dtype; pass one of "
            f"{', '.join(DTYPES)}"
        )
    try:
        dtype = np.dtype(stated)
    except TypeError as error:
        raise TypeError(f"`dtype` (={stated!r}) is unknown; pass one of {', '.join(DTYPES)}") from error
    check_dtype(dtype.newbyteorder("="), "dtype")
    if of_suffix is not None and dtype.name != of_suffix:
        raise ValueError(
            f"`dtype` (={dtype.name}) is not that of the suffix `{path.suffix}` ({of_suffix}); leave `dtype` "
            "out, or rename the file"
        )
    return dtype.newbyteorder(source.byte_order)


def _check_against_name(path: Path, shape: Shape, dtype: np.dtype, order: str) -> None:
    """Raise ``ValueError`` if the name of a file states another layout than the caller."""
    if _search_name(path) is None:
        return
    layout = raw_layout(path)
    if (*layout, "C") != (shape, dtype, order):
        sides, named = layout
        axes = ",".join(default_names(len(sides)))
        raise ValueError(
            f"`{path.name}` states {axes} = {','.join(map(str, sides))} of {named.name}, x fastest, "
            "little-endian; the layout that was passed differs: leave it out, or rename the file"
        )


def _check_bytes(array: FlatArray, path: Path) -> None:
    """Raise ``ValueError`` unless a file has exactly the size of its layout, and say what would fit."""
    n_bytes, n_voxels = path.stat().st_size, math.prod(array.shape)
    sides = "·".join(map(str, array.shape))
    if n_bytes == array.end:
        return
    fitting = [name for name in DTYPES if n_voxels * np.dtype(name).itemsize == n_bytes]
    hint = f"; {' or '.join(fitting)} would fit" if fitting else ""
    raise ValueError(
        f"`{path.name}` holds {n_bytes} bytes; {sides} voxels of {array.dtype.name} are {array.end}: "
        f"check `shape` and `dtype`{hint}"
    )


def _search_name(path: Path) -> re.Match[str] | None:
    """Search a file's name for a layout."""
    return next((match for name in _RAW_NAMES if (match := name.search(path.name))), None)


def _match_name(path: Path) -> re.Match[str]:
    match = _search_name(path)
    if match is None:
        raise ValueError(
            f"`{path.name}` must be named like `name_XxYxZ_dtype.raw`, x fastest; {LAYOUT_ADVICE}"
        )
    return match
