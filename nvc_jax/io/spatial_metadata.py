"""Metadata of the axes of space, for formats and positions that know no others."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.axes import default_spatial_axes
from nvc_jax.io.metadata import VolumeMetadata, parse_names, parse_numbers, parse_spacing

_LONG = 1 << 20
"""Side of an axis that is longer than any of a few channels."""


def spatial_positions(metadata: VolumeMetadata, rank: int) -> list[int]:
    """List the axes of space, of which there may be two, by their names, or else the last three."""
    return default_spatial_axes((_LONG,) * rank, metadata.dimension_names)


def metadata_of_axes(metadata: VolumeMetadata, order: Sequence[int | None]) -> VolumeMetadata:
    """Return the metadata of some axes of an array, in any order.

    Args:
        metadata: of the array.
        order: axes of the array; None for one of length 1 that it lacks. If that is z, it has the spacing and
            the unit of y.
    """
    rank = len(order)
    is_plane = rank >= N_SPATIAL and order[-N_SPATIAL] is None

    def chosen(values: Sequence[Any] | None, of_plane: Any = None) -> list[Any] | None:
        if values is None:
            return None
        selected = [None if axis is None else values[axis] for axis in order]
        if is_plane:
            selected[-N_SPATIAL] = selected[1 - N_SPATIAL] if of_plane is None else of_plane
        return selected

    return dataclasses.replace(
        metadata,
        dimension_names=parse_names(chosen(metadata.dimension_names, "z"), rank),
        spacing=parse_spacing(chosen(metadata.spacing), rank),
        origin=parse_numbers(chosen(metadata.origin, 0.0), rank),
        units=parse_names(chosen(metadata.units), rank),
    )


def spatial_part(metadata: VolumeMetadata, rank: int) -> VolumeMetadata:
    """Return the metadata of the axes z, y, x of an array; of a plane z has the spacing and the unit of y.

    Args:
        metadata: of the array.
        rank: number of its axes.
    """
    if rank == N_SPATIAL:
        return metadata
    axes = spatial_positions(metadata, rank)
    return metadata_of_axes(metadata, [*[None] * (N_SPATIAL - len(axes)), *axes])
