"""TIFF files that are written: ImageJ's form where it has dtype, size and spacing, else that of OME.

Both are read by ImageJ, napari and tifffile. The samples are contiguous and not compressed.
"""

import fractions
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape, default_names
from nvc_jax.io.axes import is_channel_name, is_spatial_name
from nvc_jax.io.file_format import check_written_dtype
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.lengths import ANGSTROM, MICROMETRE, unit_of_length
from nvc_jax.io.metadata import VolumeMetadata, as_json
from nvc_jax.io.written_attributes import as_ascii, missing_values_of, plain_attributes

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
_IMAGEJ_BYTES = (1 << 32) - (1 << 25)
"""Bytes of samples that ImageJ's form holds: offsets have 32 bits, and its header takes some of them."""
_GDAL_NODATA = 42113
_ASCII = 2
"""TIFF's code of text."""
_LARGEST = (1 << 32) - 1
"""Largest numerator and denominator of TIFF's fractions."""
_RESOLUTION_TOLERANCE = 1e-7
"""Relative deviation of a spacing that is accepted; with a larger one OME's form is written."""
_OME_UNITS = {
    ANGSTROM: "Å",
    **{unit: unit for unit in (MICROMETRE, "nm", "mm", "m", "cm", "km", "pm", "in", "pixel")},
}
"""OME's names of units of length."""
_OME_SUFFIXES = (".ome.tif", ".ome.tiff")
_OME_TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
"""OME's names of units of time."""
_IMAGEJ_ORDER = "TZCYXS"
"""Order of the axes in ImageJ's form."""
_COLOURS = (3, 4)
"""Samples of a colour."""
_OME_UNKNOWN = "reference frame"
"""OME's unit where the unit is none of its own."""


def check_tiff_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if TIFF, as others read it, does not have a dtype."""
    import_extra("tifffile", "io")
    check_written_dtype(path, dtype, _DTYPES, "TIFF")


def create_tiff(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a TIFF file with spacing, unit, a missing value and attributes, a page for each plane.

    ImageJ's form keeps the attributes as JSON under ``Info``, OME's as JSON in its description. OME's is
    written where ImageJ's cannot hold the dtype, size, spacing or units, and where the name ends in
    ``.ome.tif``.
    """
    tifffile = import_extra("tifffile", "io")
    n_bytes = math.prod(shape) * dtype.itemsize
    letters = _letters(shape, metadata)
    spacing, units = _by_letter(metadata.spacing, letters), _by_letter(metadata.units, letters)
    resolution = None if "X" not in spacing else [_per_unit(spacing.get(letter, 1.0)) for letter in "XY"]
    is_imagej = (
        dtype.name in _IMAGEJ_DTYPES
        and list(letters) == sorted(letters, key=_IMAGEJ_ORDER.index)
        and n_bytes <= _IMAGEJ_BYTES
        and (resolution is None or None not in resolution)
        and len({units.get(letter) for letter in "ZYX" if letter in letters}) == 1
        and not path.name.lower().endswith(_OME_SUFFIXES)
    )
    attributes = plain_attributes(metadata, dtype)
    attributes |= {} if metadata.origin is None else {"origin": list(metadata.origin)}
    info = json.dumps(as_json(attributes)) if attributes else None
    missing_values = missing_values_of(metadata, dtype)
    options: dict[str, Any] = {"byteorder": "<", "photometric": "rgb" if "S" in letters else "minisblack"}
    if missing_values:
        text = f"{missing_values[0]:.17g}"
        options["extratags"] = [(_GDAL_NODATA, _ASCII, len(text) + 1, text, True)]
    if is_imagej:
        options |= _imagej_options(metadata, letters, resolution, info)
    else:
        options |= _ome_options(metadata, letters, info)
    array = tifffile.memmap(path, shape=shape, dtype=dtype.newbyteorder("<"), **options)
    return FlatArray(path.absolute(), shape, dtype.newbyteorder("<"), int(array.offset))


def _letters(shape: Shape, metadata: VolumeMetadata) -> str:
    """Name the axes by letters: Y and X are the last, samples of a colour may follow them."""
    rank = len(shape)
    names = [str(name).lower() for name in metadata.dimension_names or default_names(rank)]
    letters = [""] * rank
    n_samples = int(rank > 2 and is_channel_name(names[-1]) and shape[-1] in _COLOURS)
    letters[rank - 2 - n_samples :] = [*"YX", *"S" * n_samples]
    for axis in range(rank - 2 - n_samples):
        letter = "T" if not is_spatial_name(names[axis]) else "Z"
        letter = "C" if is_channel_name(names[axis]) else letter
        letters[axis] = letter if letter not in letters else ""
    free = [letter for letter in "TCZ" if letter not in letters]
    return "".join(letter or free.pop(0) for letter in letters)


def _by_letter(values: Sequence[Any] | None, letters: str) -> dict[str, Any]:
    """Return what is known of the axes, by their letters."""
    if values is None:
        return {}
    return {letter: value for letter, value in zip(letters, values, strict=True) if value is not None}


def _imagej_options(
    metadata: VolumeMetadata, letters: str, resolution: Any, info: str | None
) -> dict[str, Any]:
    """Make tifffile's options; ``resolution`` has the pixels per unit along x and y, as fractions."""
    stated: dict[str, Any] = {"axes": letters}
    options: dict[str, Any] = {}
    spacing, units = (_by_letter(values, letters) for values in (metadata.spacing, metadata.units))
    if "Z" in spacing:
        stated["spacing"] = spacing["Z"]
    if "T" in spacing:
        stated["finterval"] = spacing["T"]
    if resolution is not None:
        options["resolution"] = tuple(resolution)
    lengths = {str(units.get(letter, "")) for letter in "ZYX" if letter in letters}
    unit = lengths.pop()
    if unit and not lengths:
        stated["unit"] = as_ascii(_ome_unit(unit, unit))
    if "T" in units:
        stated["tunit"] = as_ascii(units["T"])
    if info is not None:
        stated["Info"] = info
    return {"imagej": True, "metadata": stated, **options}


def _ome_options(metadata: VolumeMetadata, letters: str, info: str | None) -> dict[str, Any]:
    stated: dict[str, Any] = {"axes": letters}
    if info is not None:
        stated["Description"] = info
    spacing, units = (_by_letter(values, letters) for values in (metadata.spacing, metadata.units))
    for name in "ZYX":
        if name in spacing:
            stated[f"PhysicalSize{name}"] = spacing[name]
            stated[f"PhysicalSize{name}Unit"] = _ome_unit(units.get(name), _OME_UNKNOWN)
    if "T" in spacing and units.get("T") in _OME_TIME_UNITS:
        stated["TimeIncrement"], stated["TimeIncrementUnit"] = spacing["T"], _OME_TIME_UNITS[units["T"]]
    return {"ome": True, "metadata": stated}


def _ome_unit(name: str | None, default: str) -> str:
    """Return OME's name of a unit."""
    return _OME_UNITS.get(unit_of_length(name) or str(name), default)


def _per_unit(spacing: float) -> tuple[int, int] | None:
    """Return the number of pixels in a unit as a fraction that TIFF holds; None if none is near enough."""
    exact = 1 / fractions.Fraction(spacing)
    if not 1 / _LARGEST < exact < _LARGEST:
        return None
    # The larger of numerator and denominator has 32 bits.
    limit = _LARGEST if exact <= 1 else max(int(_LARGEST / exact), 1)
    near = exact.limit_denominator(limit)
    is_near = abs(near - exact) <= _RESOLUTION_TOLERANCE * exact and near.numerator <= _LARGEST
    return (near.numerator, near.denominator) if is_near else None
