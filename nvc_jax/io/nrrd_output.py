"""NRRD files that are written: a header with positions and attributes, and raw samples after it."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.axes import is_channel_name, is_spatial_name
from nvc_jax.io.file_format import check_written_dtype
from nvc_jax.io.geometry import AFFINE, DIRECTIONS, ORIGIN, SPACE, space_of
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_names, parse_numbers
from nvc_jax.io.nrrd import FURTHER
from nvc_jax.io.spatial_metadata import spatial_part, spatial_positions
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


def check_nrrd_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if NRRD does not have a dtype."""
    import_extra("nrrd", "io")
    check_written_dtype(path, dtype, _DTYPES, "NRRD")


def create_nrrd(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create an NRRD file with raw samples.

    Positions, units and names of axes are fields of the header. Attributes are its key/value pairs; those
    that are no text in ASCII are JSON.
    """
    nrrd = import_extra("nrrd", "io")
    little_endian = dtype.newbyteorder("<")
    stream, one = io.BytesIO(), np.zeros((1,) * len(shape), little_endian)
    header = _make_fields(metadata, len(shape)) | _make_pairs(plain_attributes(metadata, dtype))
    nrrd.write(stream, one, header, index_order="C")
    lines = stream.getvalue()[: -one.nbytes].splitlines(keepends=True)
    sizes = f"sizes: {' '.join(str(side) for side in reversed(shape))}\n".encode()
    # The library writes the time, by which equal volumes would differ, and the shape of its one sample.
    text = b"".join(
        sizes if line.startswith(b"sizes:") else line for line in lines if not line.startswith(b"# on ")
    )
    path.write_bytes(text)
    return FlatArray(path.absolute(), shape, little_endian, len(text))


def _make_fields(metadata: VolumeMetadata, rank: int) -> dict[str, Any]:
    """Make the fields of a header, axes x first."""
    spatial = spatial_positions(metadata, rank)
    names = metadata.dimension_names
    kinds = ["domain" if axis in spatial else _kind(names[axis] if names else None) for axis in range(rank)]
    fields: dict[str, Any] = {"encoding": "raw", "kinds": kinds[::-1]}
    for name in _TEXTS:
        if isinstance(metadata.attributes.get(name), str):
            fields[name] = as_ascii(metadata.attributes[name])
    for name, parse in _LISTS.items():
        values = parse(metadata.attributes.get(name), rank)
        fields |= {} if values is None or None in values else {name: list(values)}
    frame = attempt(lambda: np.asarray(metadata.attributes["measurement frame"], np.float64))
    fields |= {} if frame is None or frame.shape != (3, 3) else {"measurement frame": frame}
    if names is not None:
        fields["labels"] = [_as_text(name) for name in names[::-1]]
    place = _place(metadata, rank, spatial)
    if metadata.units is not None:
        units = [_as_text(metadata.units[axis]) for axis in reversed(range(rank))]
        fields["units"] = units
        if place is not None and all(metadata.units[axis] for axis in spatial):
            space, directions, _ = place
            of_space = [_as_text(metadata.units[axis]) for axis in reversed(spatial)]
            # Where a plane lies in a space of three axes, the third unit is that of the plane.
            of_space += of_space[-1:] * (directions.shape[1] - len(of_space))
            fields["space units"] = of_space
            if len(spatial) == rank:
                del fields["units"]
    if place is not None:
        space, directions, origin = place
        fields |= {"space dimension": directions.shape[1]} if space is None else {SPACE: as_ascii(space)}
        rows = np.full((rank, directions.shape[1]), np.nan)
        rows[[rank - 1 - axis for axis in reversed(spatial)]] = directions
        fields |= {DIRECTIONS: rows, ORIGIN: origin}
    return fields


def _kind(name: str | None) -> str:
    """Name the kind of an axis that is not one of space."""
    return "list" if is_channel_name(name) or is_spatial_name(name) else "time"


def _as_text(name: str | None) -> str:
    return as_ascii(name or "").replace('"', "'")


def _place(
    metadata: VolumeMetadata, rank: int, spatial: Sequence[int]
) -> tuple[str | None, np.ndarray, np.ndarray] | None:
    """Return space, directions (rows x, y, z) and origin of the axes of space, of which there may be two."""
    place = space_of(spatial_part(metadata, rank))
    if place is None or len(spatial) == N_SPATIAL:
        return place
    space, directions, origin = place
    n_axes = len(spatial)
    if space is None:
        return None, directions[:n_axes, :n_axes], origin[:n_axes]
    return space, directions[:n_axes], origin


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
    return pairs | ({FURTHER: json.dumps(further)} if further else {})


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
