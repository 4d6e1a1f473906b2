"""Positions of voxels in space: the affine matrices that formats of medical images state.

The attribute ``affine`` maps voxel indices (x, y, z, 1) to positions that rise to the right, to the front and
upwards (RAS, as in NIfTI). NRRD and MetaImage state ``space directions``, a row for each of the axes x, y, z,
and ``space origin``, in the orientation that ``space`` names.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_numbers
from nvc_jax.io.spatial_metadata import spatial_positions

AFFINE = "affine"
SPACE, DIRECTIONS, ORIGIN = "space", "space directions", "space origin"
"""Names of attributes."""
LPS = "left-posterior-superior"
RAS = "right-anterior-superior"
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Matrix that turns positions (x, y, z, 1) in LPS into RAS, and back."""
_SIGNS = {
    **dict.fromkeys((RAS, "RAS"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "LAS"), (-1, 1, 1)),
    **dict.fromkeys((LPS, "LPS"), (-1, -1, 1)),
}
"""Signs that turn positions in an orientation into RAS; positions in any other space stay."""


def ras_affine(metadata: VolumeMetadata) -> np.ndarray | None:
    """Return the (4, 4) matrix from indices (x, y, z, 1) to positions in RAS; None if no spacing is known."""
    affine = _read_array(metadata.attributes, AFFINE, (4, 4))
    if affine is not None:
        return affine
    directions = _read_array(metadata.attributes, DIRECTIONS, (3, 3))
    if directions is not None:
        origin = _read_array(metadata.attributes, ORIGIN, (3,))
        signs = _SIGNS.get(str(metadata.attributes.get(SPACE)), (1, 1, 1))
        return np.diag([*signs, 1]) @ _join(directions.T, np.zeros(3) if origin is None else origin)
    if metadata.spacing is None:
        return None
    spacing, origin = (
        np.array(part, np.float64) for part in (metadata.spacing, metadata.origin or (0, 0, 0))
    )
    return _join(np.diag(spacing[::-1]), origin[::-1])


def space_of(metadata: VolumeMetadata) -> tuple[str | None, np.ndarray, np.ndarray] | None:
    """Return space, directions (rows x, y, z) and origin (x, y, z); None if no spacing is known.

    The space is None where nothing names one.
    """
    directions = _read_array(metadata.attributes, DIRECTIONS, (3, 3))
    if directions is not None:
        origin = _read_array(metadata.attributes, ORIGIN, (3,))
        space = metadata.attributes.get(SPACE)
        return None if space is None else str(space), directions, np.zeros(3) if origin is None else origin
    affine = ras_affine(metadata)
    if affine is None:
        return None
    is_ras = _read_array(metadata.attributes, AFFINE, (4, 4)) is not None
    return RAS if is_ras else None, affine[:3, :3].T, affine[:3, 3]


def crop_metadata(
    metadata: VolumeMetadata, start: Sequence[int], scale: int | Sequence[int]
) -> VolumeMetadata:
    """Return the metadata of a region, of which a voxel is the mean of ``scale`` voxels along each axis.

    Args:
        metadata: of the volume.
        start: of the region's first voxel in the volume, along each axis.
        scale: voxels of the volume along each axis that make a voxel of the region; one number for all axes.
    """
    rank = len(start)
    scales = np.broadcast_to(scale, rank)
    # A mean lies at the middle of the voxels that it is taken of.
    shift = np.array(start, np.float64) + (scales - 1) / 2
    axes = spatial_positions(metadata, rank)
    space = np.zeros(N_SPATIAL), np.ones(N_SPATIAL)
    for values, spatial in zip((shift, scales), space, strict=True):
        spatial[N_SPATIAL - len(axes) :] = values[axes]
    attributes = _crop_attributes(metadata.attributes, *(spatial[::-1] for spatial in space))
    cropped = dataclasses.replace(metadata, attributes=attributes)
    if metadata.spacing is None:
        return cropped
    first = metadata.origin or (None,) * rank
    is_rotated = (
        all(first[axis] is None for axis in axes)
        and ras_affine(dataclasses.replace(metadata, spacing=None)) is not None
    )
    origin = [
        None if side is None or (is_rotated and axis in axes) else (first[axis] or 0.0) + side * shift[axis]
        for axis, side in enumerate(metadata.spacing)
    ]
    spacing = [None if side is None else side * n for side, n in zip(metadata.spacing, scales, strict=True)]
    return dataclasses.replace(
        cropped, spacing=parse_numbers(spacing, rank), origin=parse_numbers(origin, rank)
    )


def _crop_attributes(attributes: Mapping[str, Any], shift: np.ndarray, scale: np.ndarray) -> dict[str, Any]:
    """Move the origins that attributes state by ``shift`` voxels (x, y, z), and scale their directions."""
    cropped = dict(attributes)
    affine = _read_array(attributes, AFFINE, (4, 4))
    if affine is not None:
        matrix = affine[:3, :3]
        cropped[AFFINE] = _join(matrix * scale, affine[:3, 3] + matrix @ shift).tolist()
    directions = _read_array(attributes, DIRECTIONS, (3, 3))
    if directions is not None:
        origin = _read_array(attributes, ORIGIN, (3,))
        cropped[DIRECTIONS] = (directions * scale[:, None]).tolist()
        cropped[ORIGIN] = ((np.zeros(3) if origin is None else origin) + shift @ directions).tolist()
    return cropped


def _join(matrix: np.ndarray, origin: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, origin
    return affine


def _read_array(attributes: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Read an attribute as an array of finite numbers; None if it is none of that shape."""
    values = attempt(lambda: np.asarray(attributes[name], np.float64))
    return values if values is not None and values.shape == shape and np.all(np.isfinite(values)) else None
