"""OME-Zarr images as they are written: version 0.5 of the format (NGFF), a Zarr 3 group with its levels.

The group states axes, units, scale and translation. What it has no place for, such as a rotated affine, stays
in the attributes of the array.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvc_jax.io.lengths import ANGSTROM, MICROMETRE, unit_of_length
from nvc_jax.io.metadata import VolumeMetadata

OME_SUFFIX = ".ome.zarr"
LEVEL = "0"
"""Name of the array in the group."""
OME = "ome"
"""Attribute that holds the metadata of the format."""
_VERSION = "0.5"
_TYPES = {
    **dict.fromkeys(("t", "time"), "time"),
    **dict.fromkeys(("c", "channel", "channels"), "channel"),
}
"""Types of axes by their names in lower case; others are of space."""
_UNITS = {
    **{ANGSTROM: "angstrom", "nm": "nanometer", MICROMETRE: "micrometer", "mm": "millimeter", "m": "meter"},
    **{"cm": "centimeter", "km": "kilometer", "pm": "picometer", "in": "inch"},
    **{"s": "second", "sec": "second", "ms": "millisecond", "min": "minute", "h": "hour"},
}
"""Names of units in the format; others stay as they are."""


def is_ome_zarr(path: Path) -> bool:
    """Tell whether a path names an OME-Zarr image to be written."""
    return path.name.lower().endswith(OME_SUFFIX)


def write_group(
    path: Path,
    metadata: VolumeMetadata,
    shape: Sequence[int],
    scales: Sequence[Sequence[int]] | None = None,
) -> None:
    """Make the directory of an image with the document of its group.

    Args:
        path: of the new directory.
        metadata: of the volume.
        shape: of the volume.
        scales: voxels of the volume of which one of each level is the mean, along each axis, the finest level
            first; None for the volume alone. Levels are named by their numbers.
    """
    path.mkdir()
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {OME: _ome_attributes(metadata, shape, scales or [[1] * len(shape)])},
    }
    (path / "zarr.json").write_text(json.dumps(document))


def without_group(metadata: VolumeMetadata) -> dict[str, Any]:
    """Return attributes without those that the group has."""
    return {name: value for name, value in metadata.attributes.items() if name != OME}


def _ome_attributes(
    metadata: VolumeMetadata, shape: Sequence[int], scales: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """State the image, and what an OME-Zarr source said of its display (``omero``) and its name."""
    source = metadata.attributes.get(OME)
    kept = source if isinstance(source, dict) else {}
    names = axis_names(metadata, len(shape))
    multiscale: dict[str, Any] = {
        "axes": [_axis(name, metadata, axis) for axis, name in enumerate(names)],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transformations(metadata, scale)}
            for level, scale in enumerate(scales)
        ],
    }
    images = kept.get("multiscales")
    if isinstance(images, list) and images and isinstance(images[0], dict):
        multiscale |= {key: images[0][key] for key in ("name",) if key in images[0]}
    described = {"omero": kept["omero"]} if "omero" in kept else {}
    return {"version": _VERSION, "multiscales": [multiscale], **described}


def axis_names(metadata: VolumeMetadata, rank: int) -> list[str]:
    """Return the names of the axes, which differ from each other: t, c, z, y, x where none are stated."""
    names = list(metadata.complete_names(rank))
    return names if len(set(names)) == len(names) == rank else list("tczyx"[-rank:])


def _axis(name: str, metadata: VolumeMetadata, axis: int) -> dict[str, str]:
    unit = metadata.units[axis] if metadata.units else None
    described = {"name": name, "type": _TYPES.get(name.lower(), "space")}
    return described if not unit else described | {"unit": _UNITS.get(unit_of_length(unit) or unit, unit)}


def _transformations(metadata: VolumeMetadata, scale: Sequence[int]) -> list[dict[str, Any]]:
    """State scale, which the format demands, and translation: a mean lies in the middle of its voxels."""
    spacing = [step or 1.0 for step in metadata.spacing or (1.0,) * len(scale)]
    steps = {"type": "scale", "scale": [step * n for step, n in zip(spacing, scale, strict=True)]}
    if metadata.origin is None and all(n == 1 for n in scale):
        return [steps]
    origin = [first or 0.0 for first in metadata.origin or (0.0,) * len(scale)]
    first = [at + step * (n - 1) / 2 for at, step, n in zip(origin, spacing, scale, strict=True)]
    return [steps, {"type": "translation", "translation": first}]
