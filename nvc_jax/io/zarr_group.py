"""Zarr groups as xarray reads them: a variable, and an array of coordinates for each of its axes.

``OUT.zarr::NAME`` names the variable ``NAME`` of a group that is written.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.io.coordinates import AXIS_COORDINATES, Coordinates, read_coordinates
from nvc_jax.io.declared_values import attributes_for_zarr
from nvc_jax.io.global_attributes import GLOBAL_ATTRIBUTES, split_global_attributes
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.ome_zarr import axis_names

_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Attribute by which xarray names the dimensions in Zarr 2."""
_SEPARATOR = ".zarr::"


def split_variable(destination: Path | str) -> tuple[str, str | None]:
    """Take ``OUT.zarr::NAME`` apart; the name is None where none is given.

    Raises:
        ValueError: a name is empty, or of a path.
    """
    text = str(destination)
    path, separator, name = text.rpartition(_SEPARATOR)
    if not separator:
        return text, None
    if not name or "/" in name or name.startswith((".", "__")):
        raise ValueError(f"`{destination}`: `{name}` must be the name of a variable, without `/`")
    return f"{path}.zarr", name


def check_variable(name: str | None, metadata: VolumeMetadata, rank: int) -> None:
    """Raise ``ValueError`` if an axis has the name of a variable."""
    names = axis_names(metadata, rank)
    if name in names:
        raise ValueError(f"`{name}` is the name of an axis ({', '.join(names)}); name the variable otherwise")


def create_zarr_group(
    path: Path,
    name: str,
    shape: Sequence[int],
    dtype: np.dtype,
    chunk: Sequence[int],
    metadata: VolumeMetadata,
) -> ts.TensorStore:
    """Create a group with a variable and its coordinates, and return the variable to be written.

    Args:
        path: of the new directory.
        name: of the variable.
        shape: of the volume.
        dtype: of the volume.
        chunk: voxels of a chunk along each axis.
        metadata: of the volume.
    """
    names = create_coordinates(path, shape, metadata)
    attributes = variable_metadata(metadata, names).as_attributes(dtype)
    return create_zarr_array(path / name, shape, dtype, chunk, names, attributes)


def create_coordinates(path: Path, shape: Sequence[int], metadata: VolumeMetadata) -> list[str]:
    """Create a group with the coordinates of a volume, and return the names of its axes.

    Args:
        path: of the new directory.
        shape: of the volume.
        metadata: of the volume.
    """
    names = axis_names(metadata, len(shape))
    path.mkdir()
    _, attributes = split_global_attributes(metadata.attributes)
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "zarr.json").write_text(json.dumps(document))
    for axis, coordinates in zip(names, _coordinates_of(metadata, names, shape), strict=True):
        if coordinates is not None and "/" not in axis:
            values = coordinates.values
            attributes = attributes_for_zarr(coordinates.attributes, (), values.dtype)
            array = create_zarr_array(
                path / axis, values.shape, values.dtype, values.shape, [axis], attributes
            )
            array.write(values).result()
    return names


def variable_metadata(metadata: VolumeMetadata, names: Sequence[str]) -> VolumeMetadata:
    """Return the metadata of a variable beside which its coordinates lie."""
    kept = metadata.without_coordinates()
    attributes = {
        key: value
        for key, value in kept.attributes.items()
        if key not in (AXIS_COORDINATES, _DIMENSIONS, GLOBAL_ATTRIBUTES)
    }
    return dataclasses.replace(kept, dimension_names=tuple(names), attributes=attributes)


def create_zarr_array(
    path: Path,
    shape: Sequence[int],
    dtype: np.dtype,
    chunk: Sequence[int],
    names: Sequence[str],
    attributes: dict[str, Any],
) -> ts.TensorStore:
    """Create a Zarr 3 array."""
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path.absolute()}/"},
        "metadata": {
            "shape": shape,
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "attributes": attributes,
            "dimension_names": names,
        },
    }
    return ts.open(spec, create=True).result()


def _coordinates_of(
    metadata: VolumeMetadata, names: Sequence[str], shape: Sequence[int]
) -> list[Coordinates | None]:
    """Return coordinates that are stated, or follow from origin and spacing; None where none are known."""
    stated = read_coordinates(metadata.attributes, names, shape)
    if metadata.spacing is None:
        return stated
    origin, units = metadata.origin or (None,) * len(shape), metadata.units or (None,) * len(shape)
    even = [
        None
        if step is None
        else Coordinates((first or 0.0) + step * np.arange(side), {"units": unit} if unit else {})
        for first, step, side, unit in zip(origin, metadata.spacing, shape, units, strict=True)
    ]
    return [axis if axis is not None else other for axis, other in zip(stated, even, strict=True)]
