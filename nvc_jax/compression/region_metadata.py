"""Metadata of the source that a container keeps, for a region of it."""

from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region
from nvc_jax.io.geometry import crop_metadata
from nvc_jax.io.metadata import VolumeMetadata


def region_metadata(reader: Reader, region: Region) -> VolumeMetadata:
    """Coordinates and attributes that the container keeps of the source, for a region of a level."""
    metadata = VolumeMetadata.from_attributes(reader.metadata.dimension_names, reader.metadata.attributes)
    start = [part.start * scale for part, scale in zip(region, reader.scale, strict=True)]
    return crop_metadata(metadata, start, reader.scale)
