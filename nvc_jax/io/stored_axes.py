"""Axes of an array in a key-value store, as the document of each format describes them."""

import dataclasses
from typing import Any

from nvc_jax.io.metadata import attempt
from nvc_jax.io.stored_arrays import StoredArray, dict_or_empty


@dataclasses.dataclass(frozen=True)
class StoredAxes:
    """Names, spacing, origin and units of all axes of a stored array, x last.

    Each is a list with one entry for each axis, or None if the document does not state it.
    """

    names: list[Any] | None = None
    spacing: list[Any] | None = None
    origin: list[Any] | None = None
    units: list[Any] | None = None


def describe_axes(array: StoredArray) -> StoredAxes:
    """Describe the axes of a stored array; a list of another length than the array's rank is left out."""
    axes = attempt(lambda: _read_axes(array)) or StoredAxes()
    rank = len(stored_shape(array))
    lists = (axes.names, axes.spacing, axes.origin, axes.units)
    return StoredAxes(*(part if isinstance(part, list) and len(part) == rank else None for part in lists))


def stored_shape(array: StoredArray) -> tuple[int, ...]:
    """Return the shape of a stored array, x last; it is empty if the document is damaged."""

    def read_shape() -> list[int]:
        if array.driver == "n5":
            return array.document["dimensions"][::-1]
        if array.driver == "neuroglancer_precomputed":
            return [array.document["num_channels"], *array.document["scales"][0]["size"][::-1]]
        return list(array.document["shape"])

    return tuple(attempt(read_shape) or ())


def _read_axes(array: StoredArray) -> StoredAxes:
    if array.ome is not None:
        return _read_ome_axes(array.ome["multiscales"][0])
    if array.driver == "zarr3":
        return StoredAxes(array.document.get("dimension_names"))
    if array.driver == "zarr":
        return StoredAxes(array.attributes.get("_ARRAY_DIMENSIONS"))
    if array.driver == "n5":
        return _read_n5_axes(array.document)
    return _read_precomputed_axes(array.document)


def _read_ome_axes(multiscale: dict[str, Any]) -> StoredAxes:
    """Read axes of OME-Zarr; transformations of the dataset apply first, then those of the image."""
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale.get("axes", "tczyx")]
    spacing, origin = [1.0] * len(axes), [0.0] * len(axes)
    of_dataset = multiscale["datasets"][0].get("coordinateTransformations", [])
    of_image = multiscale.get("coordinateTransformations", [])
    for transformation in [*of_dataset, *of_image]:
        if "scale" in transformation:
            scale = transformation["scale"]
            spacing = [a * b for a, b in zip(spacing, scale, strict=True)]
            origin = [a * b for a, b in zip(origin, scale, strict=True)]
        if "translation" in transformation:
            origin = [a + b for a, b in zip(origin, transformation["translation"], strict=True)]
    is_scaled = bool(of_dataset)
    return StoredAxes(
        [axis["name"] for axis in axes],
        spacing if is_scaled else None,
        origin if is_scaled else None,
        [axis.get("unit") for axis in axes],
    )


def _read_n5_axes(document: dict[str, Any]) -> StoredAxes:
    """Read axes of N5, by the attributes of TensorStore or of ImageJ's N5 plugins."""
    pixel = dict_or_empty(document.get("pixelResolution"))
    spacing = document.get("resolution", pixel.get("dimensions"))
    units = document.get("units", [pixel.get("unit")] * len(document["dimensions"]))

    def reverse(values: Any) -> list[Any] | None:
        return list(values)[::-1] if isinstance(values, list) else None

    return StoredAxes(reverse(document.get("axes")), reverse(spacing), None, reverse(units))


def _read_precomputed_axes(document: dict[str, Any]) -> StoredAxes:
    """Read axes of precomputed, whose resolution is in nanometres and whose offset is in voxels."""
    scale = document["scales"][0]
    spacing = [None, *scale["resolution"][::-1]]
    offsets = scale.get("voxel_offset", [0, 0, 0])[::-1]
    origin = [None, *(offset * side for offset, side in zip(offsets, spacing[1:], strict=True))]
    return StoredAxes(["channel", "z", "y", "x"], spacing, origin, [None, "nm", "nm", "nm"])
