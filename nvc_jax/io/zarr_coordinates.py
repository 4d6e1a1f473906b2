"""Coordinates of a Zarr array in a group, as xarray stores them, and the attributes of the group."""

import dataclasses
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.io.coordinates import AXIS_COORDINATES, Coordinates, describe_coordinates, state_coordinates
from nvc_jax.io.global_attributes import GLOBAL_ATTRIBUTES, state_global_attributes
from nvc_jax.io.locations import read_key
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    find_place,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.stored_arrays import StoredArray
from nvc_jax.io.stored_axes import describe_axes, stored_shape

_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Attribute by which xarray names the dimensions in Zarr 2."""
_MOST_VALUES = 1 << 16
"""Values of an array of coordinates that is read at most."""
_OF_IMAGES = ("ome", "multiscales")
"""Attributes of groups that describe an image of OME-Zarr, and not a data set."""


def with_group_coordinates(metadata: VolumeMetadata, array: StoredArray) -> VolumeMetadata:
    """Add the attributes of an array's group to its metadata, and coordinates if it states no positions."""
    metadata = _with_group_attributes(metadata, array)
    names = metadata.dimension_names
    is_known = metadata.spacing is not None or AXIS_COORDINATES in metadata.attributes
    if names is None or is_known or array.driver not in ("zarr", "zarr3"):
        return metadata
    shape = stored_shape(array)
    sides = [shape[axis] for axis in kept_axes(shape, describe_axes(array).names)]
    axes = [
        attempt(lambda name=name, side=side: _read_sibling(array, name, side)) if name else None  # type: ignore[misc]
        for name, side in zip(names, sides, strict=False)
    ]
    if not any(axes):
        return metadata
    rank = len(names)
    places = [find_place(lambda axis=axis: axis and axis.values) for axis in axes]  # type: ignore[misc]
    units = [axis and axis.attributes.get("units") for axis in axes]
    return dataclasses.replace(
        metadata,
        spacing=parse_spacing([spacing for _, spacing in places], rank),
        origin=parse_numbers([origin for origin, _ in places], rank),
        units=metadata.units or parse_names(units, rank),
        attributes=metadata.attributes | state_coordinates(names, axes),
    )


def with_coordinates_of_group(
    metadata: VolumeMetadata, kvstore: ts.KvStore, document: dict[str, Any]
) -> VolumeMetadata:
    """Add the coordinates of a Zarr 3 array that is in a group, and the group's attributes, to its metadata.

    Args:
        metadata: of the array.
        kvstore: its path that of the array's directory.
        document: the array's ``zarr.json``.
    """
    is_in_group = attempt(lambda: _read(_sibling(kvstore, ""), "zarr.json")["node_type"] == "group")
    if not is_in_group:
        return metadata
    return with_group_coordinates(metadata, StoredArray("zarr3", kvstore, document, metadata.attributes))


def _with_group_attributes(metadata: VolumeMetadata, array: StoredArray) -> VolumeMetadata:
    if array.driver not in ("zarr", "zarr3") or GLOBAL_ATTRIBUTES in metadata.attributes:
        return metadata
    stated = attempt(lambda: _read_group_attributes(array)) or {}
    if any(name in stated for name in _OF_IMAGES):
        return metadata
    return dataclasses.replace(metadata, attributes=state_global_attributes(stated) | metadata.attributes)


def _read_group_attributes(array: StoredArray) -> dict[str, Any]:
    """Read the attributes of the group that an array is in; none where it is in none."""
    group = _sibling(array.kvstore, "")
    if array.driver == "zarr":
        return dict(_read(group, ".zattrs") or {}) if _read(group, ".zgroup") else {}
    document = _read(group, "zarr.json") or {}
    return dict(document.get("attributes") or {}) if document.get("node_type") == "group" else {}


def _sibling(kvstore: ts.KvStore, name: str) -> ts.KvStore:
    """Return the directory beside that of an array, or above it where the name is empty."""
    parent, _, _ = kvstore.path.rstrip("/").rpartition("/")
    sibling = kvstore.copy()
    sibling.path = "".join(f"{part}/" for part in (parent, name) if part)
    return sibling


def _read_sibling(array: StoredArray, name: str, side: int) -> Coordinates | None:
    """Read the array of one axis, of ``side`` voxels, that lies beside an array; None where there is none."""
    if "/" in name or name.startswith("."):
        return None
    kvstore = _sibling(array.kvstore, name)
    document = _read(kvstore, "zarr.json" if array.driver == "zarr3" else ".zarray")
    if document is None or document["shape"] != [side] or side > _MOST_VALUES:
        return None
    is_zarr3 = array.driver == "zarr3"
    stated = (document if is_zarr3 else {"attributes": _read(kvstore, ".zattrs")}).get("attributes") or {}
    spec = {"driver": array.driver, "kvstore": kvstore.spec().to_json()}
    values = np.asarray(ts.open(spec, read=True, open=True).result().read().result())
    return describe_coordinates(values, {key: value for key, value in stated.items() if key != _DIMENSIONS})


def _read(kvstore: ts.KvStore, key: str) -> Any:
    text = read_key(kvstore, key)
    return None if text is None else read_json(text)
