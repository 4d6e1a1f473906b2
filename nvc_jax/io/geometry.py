"""Positions of voxels in space: the affine matrices that formats of medical images state.

The attribute ``affine`` maps voxel indices (x, y, z, 1) to positions that rise to the right, to the front and
upwards (RAS, as in NIfTI). NRRD and MetaImage state ``space directions``, a row for each of the axes x, y, z,
and ``space origin``, in the orientation that ``space`` names.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_numbers

AFFINE = "affine"
SPACE, DIRECTIONS, ORIGIN = "space", "space directions", "space origin"
"""Names of attributes."""
LPS = "left-posterior-superior"
RAS = "right-anterior-superior"
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Matrix that turns positions (x, y, z, 1) in LPS into RAS, and back."""
METRE = ("m", "meter", "metre")
MILLIMETRE = ("mm", "millimeter", "millimetre")
MICROMETRE = ("um", "µm", "μm", "micron", "micrometer", "micrometre")
NANOMETRE = ("nm", "nanometer", "nanometre")
"""Names of units of length in files."""
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
    return _join(np.diag(metadata.spacing[::-1]), np.array(metadata.origin or (0.0, 0.0, 0.0))[::-1])


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


def crop_metadata(metadata: VolumeMetadata, start: Sequence[int], scale: int) -> VolumeMetadata:
    """Return the metadata of a region, of which a voxel is the mean of ``scale``³ voxels.

    Args:
        metadata: of the volume.
        start: (z, y, x) of the region's first voxel in the volume.
        scale: voxels of the volume along each axis that make a voxel of the region.
    """
    # A mean lies at the middle of the voxels that it is taken of.
    shift = np.array(start, np.float64) + (scale - 1) / 2
    attributes = _crop_attributes(metadata.attributes, shift[::-1], scale)
    cropped = dataclasses.replace(metadata, attributes=attributes)
    if metadata.spacing is None:
        return cropped
    is_rotated = (
        metadata.origin is None and ras_affine(dataclasses.replace(metadata, spacing=None)) is not None
    )
    spacing = np.array(metadata.spacing)
    origin = np.array(metadata.origin or (0.0, 0.0, 0.0)) + spacing * shift
    return dataclasses.replace(
        cropped,
        spacing=parse_numbers(spacing * scale),
        origin=None if is_rotated else parse_numbers(origin),
    )


def _crop_attributes(attributes: Mapping[str, Any], shift: np.ndarray, scale: int) -> dict[str, Any]:
    """Move the origins that attributes state by ``shift`` voxels (x, y, z), and scale their directions."""
    cropped = dict(attributes)
    affine = _read_array(attributes, AFFINE, (4, 4))
    if affine is not None:
        matrix = affine[:3, :3]
        cropped[AFFINE] = _join(matrix * scale, affine[:3, 3] + matrix @ shift).tolist()
    directions = _read_array(attributes, DIRECTIONS, (3, 3))
    if directions is not None:
        origin = _read_array(attributes, ORIGIN, (3,))
        cropped[DIRECTIONS] = (directions * scale).tolist()
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
