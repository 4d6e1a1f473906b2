"""Coordinates along the axes of a volume that origin and spacing do not state: uneven, falling, or described.

They are in the attribute ``axis_coordinates``: for each axis by its name the values, their dtype, and
attributes such as the units and the calendar of a time. Origin and spacing are enough for float64 that rise
evenly and have at most units.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.io.metadata import attempt, attributes_as_json, even_spacing

AXIS_COORDINATES = "axis_coordinates"
_MOST_VALUES = 1 << 16
"""Values of an axis that are kept at most: they are text in the metadata of a container."""
_UNITS = "units"
_UNITS_OF_TIME = {
    **{"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"},
    **{"m": "minutes", "h": "hours", "D": "days"},
}
"""Units of NumPy's times as CF names them."""


class Coordinates(NamedTuple):
    """Coordinates of an axis: values (n,), and attributes as JSON can hold them."""

    values: np.ndarray
    attributes: dict[str, Any]


def describe_coordinates(values: Any, attributes: Mapping[Any, Any]) -> Coordinates | None:
    """Describe the coordinates of an axis; times become numbers with units. None for texts and the like."""
    values, stated = np.asarray(values), attributes_as_json(attributes)
    if stated.get("_FillValue") == "NaN":  # which xarray states of all floats
        del stated["_FillValue"]
    if values.dtype.kind == "M":
        unit, count = np.datetime_data(values.dtype)
        if unit not in _UNITS_OF_TIME or count != 1 or np.isnat(values).any():
            return None
        times = {_UNITS: f"{_UNITS_OF_TIME[unit]} since 1970-01-01", "calendar": "proleptic_gregorian"}
        values, stated = values.astype(np.int64), stated | times
    is_kept = values.ndim == 1 and values.dtype.kind in "iuf" and values.size <= _MOST_VALUES
    return Coordinates(values.astype(values.dtype.newbyteorder("=")), stated) if is_kept else None


def state_coordinates(names: Sequence[Any], axes: Sequence[Coordinates | None]) -> dict[str, Any]:
    """Return the attribute, or nothing where origin and spacing are enough."""
    known = {
        name: axis
        for name, axis in zip(names, axes, strict=True)
        if axis is not None and isinstance(name, str)
    }
    if all(map(_is_plain, known.values())):
        return {}
    return {AXIS_COORDINATES: {name: _as_json(axis) for name, axis in known.items()}}


def read_coordinates(attributes: Mapping[str, Any], names: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Read the coordinates of each axis from attributes: ``Coordinates``, or None where none are stated."""
    stated = attributes.get(AXIS_COORDINATES)
    if not isinstance(stated, dict):
        return [None] * len(shape)
    read = [attempt(lambda name=name: _from_json(stated[name])) for name in names]  # type: ignore[misc]
    return [
        axis if axis is not None and axis.values.shape == (side,) else None
        for axis, side in zip(read, shape, strict=True)
    ]


def crop_coordinates(
    attributes: Mapping[str, Any],
    names: Sequence[Any],
    start: Sequence[int],
    shape: Sequence[int],
    scale: Sequence[int],
) -> dict[str, Any]:
    """Cut the coordinates in attributes to those of a region.

    Args:
        attributes: of the volume.
        names: of its axes.
        start: the region's first voxel in the volume.
        shape: voxels of the region.
        scale: voxels of the volume along each axis of which a voxel of the region is the mean; at the end
            there may be fewer.
    """
    stated = attributes.get(AXIS_COORDINATES)
    if not isinstance(stated, dict):
        return dict(attributes)
    cropped = {}
    for name, first, side, n in zip(names, start, shape, scale, strict=True):
        axis = attempt(lambda name=name: _from_json(stated[name]))  # type: ignore[misc]
        values = None if axis is None else axis.values[first : first + side * n]
        if axis is not None and values is not None and math.ceil(values.size / n) == side:
            if n > 1:
                with np.errstate(all="ignore"):
                    values = np.array([values[i : i + n].mean() for i in range(0, values.size, n)])
            cropped[name] = _as_json(Coordinates(values, axis.attributes))
    return dict(attributes) | {AXIS_COORDINATES: cropped}


def _is_plain(axis: Coordinates) -> bool:
    if axis.values.dtype != np.float64 or axis.attributes.keys() - {_UNITS}:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        even = even_spacing(axis.values)
        if even is None:
            return False
        origin, spacing = even
        return np.array_equal(origin + spacing * np.arange(axis.values.size), axis.values)


def _as_json(axis: Coordinates) -> dict[str, Any]:
    """State coordinates: floats by the shortest texts that their dtype reads back."""
    is_float = axis.values.dtype.kind == "f"
    values = [float(str(value)) if is_float else int(value) for value in axis.values]
    stated = attributes_as_json({"values": np.array(values, object)})["values"]
    return {"dtype": axis.values.dtype.name, "values": stated, "attributes": axis.attributes}


def _from_json(stated: Any) -> Coordinates:
    dtype = np.dtype(stated["dtype"])
    if dtype.kind not in "iuf" or not isinstance(stated["values"], list):
        raise ValueError(f"coordinates of {dtype}")
    values = [float(value) if isinstance(value, str) else value for value in stated["values"]]
    attributes = stated.get("attributes")
    return Coordinates(np.array(values, dtype), attributes if isinstance(attributes, dict) else {})
