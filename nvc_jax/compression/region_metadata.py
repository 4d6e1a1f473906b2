"""Metadata of the source that a container keeps, for a region of it."""

import dataclasses
from collections.abc import Sequence

from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region
from nvc_jax.io.coordinates import AXIS_COORDINATES, crop_coordinates
from nvc_jax.io.geometry import crop_metadata
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.zarr_coordinates import with_coordinates_of_group


def region_metadata(reader: Reader, region: Region) -> VolumeMetadata:
    """Coordinates and attributes that the container keeps of the source, for a region of a level."""
    metadata = VolumeMetadata.from_attributes(reader.metadata.dimension_names, reader.metadata.attributes)
    if metadata.spacing is None and AXIS_COORDINATES not in metadata.attributes:
        document = reader.metadata.to_json()
        metadata = with_coordinates_of_group(metadata, reader.store.kvstore, document)
    start = [part.start * scale for part, scale in zip(region, reader.scale, strict=True)]
    return part_metadata(metadata, start, [part.stop - part.start for part in region], reader.scale)


def part_metadata(
    metadata: VolumeMetadata, start: Sequence[int], shape: Sequence[int], scale: Sequence[int]
) -> VolumeMetadata:
    """Return the metadata of a part of a volume, at its resolution or a coarser one.

    Args:
        metadata: of the volume.
        start: the part's first voxel in the volume.
        shape: voxels of the part.
        scale: voxels of the volume along each axis of which one of the part is the mean.
    """
    names = metadata.dimension_names or ("",) * len(start)
    attributes = crop_coordinates(metadata.attributes, names, start, shape, scale)
    return crop_metadata(dataclasses.replace(metadata, attributes=attributes), start, scale)
