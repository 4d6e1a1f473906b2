"""Metadata of the source that a container keeps, for a region of it."""

import dataclasses

from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region
from nvc_jax.io.coordinates import crop_coordinates
from nvc_jax.io.geometry import crop_metadata
from nvc_jax.io.metadata import VolumeMetadata


def region_metadata(reader: Reader, region: Region) -> VolumeMetadata:
    """Coordinates and attributes that the container keeps of the source, for a region of a level."""
    metadata = VolumeMetadata.from_attributes(reader.metadata.dimension_names, reader.metadata.attributes)
    scale = PREVIEW_BLOCK_SIZE if reader.level == "preview" else 1
    start, shape = [part.start * scale for part in region], [part.stop - part.start for part in region]
    names = metadata.dimension_names or ("",) * len(shape)
    attributes = crop_coordinates(metadata.attributes, names, start, shape, scale)
    return crop_metadata(dataclasses.replace(metadata, attributes=attributes), start, scale)
