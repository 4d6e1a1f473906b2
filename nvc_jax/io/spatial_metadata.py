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


def spatial_part(metadata: VolumeMetadata, rank: int) -> VolumeMetadata:
    """Return the metadata of the axes z, y, x of an array; of a plane z has the spacing and the unit of y.

    Args:
        metadata: of the array.
        rank: number of its axes.
    """
    if rank == N_SPATIAL:
        return metadata
    axes = spatial_positions(metadata, rank)

    def select(values: Sequence[Any] | None, first: Any = None) -> list[Any] | None:
        if values is None:
            return None
        chosen = [values[axis] for axis in axes]
        return [chosen[0] if first is None else first] * (N_SPATIAL - len(axes)) + chosen

    return dataclasses.replace(
        metadata,
        dimension_names=parse_names(select(metadata.dimension_names, "z")),
        spacing=parse_spacing(select(metadata.spacing)),
        origin=parse_numbers(select(metadata.origin, 0.0)),
        units=parse_names(select(metadata.units)),
    )
