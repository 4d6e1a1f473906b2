"""NRRD files that are written: a header with positions and attributes, and raw samples after it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape3
from nvc_jax.io.file_format import check_written_dtype
from nvc_jax.io.geometry import AFFINE, DIRECTIONS, ORIGIN, SPACE, space_of
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_names, parse_numbers
from nvc_jax.io.written_attributes import as_ascii, plain_attributes

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_TEXTS = ("content", "sample units")
_LISTS = {"kinds": parse_names, "centerings": parse_names, "thicknesses": parse_numbers}
"""Fields that are written as they were read, and their readers: one entry for each axis, x first."""
_STATED = {
    *(AFFINE, SPACE, DIRECTIONS, ORIGIN, "space dimension", "space units", "spacings", "labels", "centers"),
    *("axis mins", "axismins", "axis maxs", "axismaxs", "data file", "datafile"),
    *("line skip", "lineskip", "byte skip", "byteskip"),
}
"""Attributes that positions, names of axes and the place of the samples state anew."""
_FIELDS = {
    "type",
    "block size",
    "blocksize",
    "dimension",
    "sizes",
    "endian",
    "encoding",
    "min",
    "max",
    "number",
}
_FIELDS |= {"old min", "oldmin", "old max", "oldmax", "units", "measurement frame", *_TEXTS, *_LISTS}
"""Names of fields of NRRD, which an attribute of another format may have in another meaning."""
_FURTHER = "further attributes"
"""Key of a JSON object with the attributes whose names a key/value pair cannot have."""


def check_nrrd_output(path: Path, shape: Shape3, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if NRRD does not have a dtype."""
    import_extra("nrrd", "io")
    check_written_dtype(path, dtype, _DTYPES, "NRRD")


def create_nrrd(path: Path, shape: Shape3, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create an NRRD file with raw samples.

    Positions, units and names of axes are fields of the header. Attributes are its key/value pairs; those
    that are no text in ASCII are JSON.
    """
    nrrd = import_extra("nrrd", "io")
    little_endian = dtype.newbyteorder("<")
    stream, one = io.BytesIO(), np.zeros((1, 1, 1), little_endian)
    header = _make_fields(metadata) | _make_pairs(plain_attributes(metadata, dtype))
    nrrd.write(stream, one, header, index_order="C")
    lines = stream.getvalue()[: -one.nbytes].splitlines(keepends=True)
    sizes = f"sizes: {' '.join(str(side) for side in reversed(shape))}\n".encode()
    # The library writes the time, by which equal volumes would differ, and the shape of its one sample.
    text = b"".join(
        sizes if line.startswith(b"sizes:") else line for line in lines if not line.startswith(b"# on ")
    )
    path.write_bytes(text)
    return FlatArray(path.absolute(), shape, little_endian, len(text))


def _make_fields(metadata: VolumeMetadata) -> dict[str, Any]:
    """Make the fields of a header, axes x first."""
    fields: dict[str, Any] = {"encoding": "raw", "kinds": ["domain"] * 3}
    for name in _TEXTS:
        if isinstance(metadata.attributes.get(name), str):
            fields[name] = as_ascii(metadata.attributes[name])
    for name, parse in _LISTS.items():
        values = parse(metadata.attributes.get(name))
        fields |= {} if values is None else {name: list(values)}
    frame = attempt(lambda: np.asarray(metadata.attributes["measurement frame"], np.float64))
    fields |= {} if frame is None or frame.shape != (3, 3) else {"measurement frame": frame}
    if metadata.dimension_names is not None:
        fields["labels"] = [as_ascii(name).replace('"', "'") for name in metadata.dimension_names[::-1]]
    place = space_of(metadata)
    if metadata.units is not None:
        units = [as_ascii(unit).replace('"', "'") for unit in metadata.units[::-1]]
        fields["units" if place is None else "space units"] = units
    if place is not None:
        space, directions, origin = place
        fields |= {"space dimension": 3} if space is None else {SPACE: as_ascii(space)}
        fields |= {DIRECTIONS: directions, ORIGIN: origin}
    return fields


def _make_pairs(attributes: dict[str, Any]) -> dict[str, str]:
    """Make the key/value pairs of a header."""
    pairs: dict[str, str] = {}
    further: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in _STATED or (name in _FIELDS and not isinstance(value, str)) or name in _TEXTS:
            continue
        if name in _FIELDS or not _is_key(name):
            further[name] = value
        elif isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip():
            pairs[name] = value
        else:
            pairs[name] = json.dumps(value)
    return pairs | ({_FURTHER: json.dumps(further)} if further else {})


def _is_key(name: str) -> bool:
    """Tell whether a name is one that the library reads again as the key of a pair."""
    return (
        name.isascii()
        and name.isprintable()
        and bool(name)
        and name == name.strip()
        and ":" not in name
        and not name.startswith("#")
    )
