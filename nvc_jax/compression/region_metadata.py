"""Metadata of the source that a container keeps, for a region of it."""

import dataclasses

import numpy as np

from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region
from nvc_jax.io.metadata import VolumeMetadata


def region_metadata(reader: Reader, region: Region) -> VolumeMetadata:
    """Coordinates and attributes that the container keeps of the source, for a region of a level."""
    metadata = VolumeMetadata.from_attributes(reader.metadata.dimension_names, reader.metadata.attributes)
    if metadata.spacing is None:
        return metadata
    # A voxel of the preview lies at the middle of the voxels whose mean it is.
    scale = PREVIEW_BLOCK_SIZE if reader.level == "preview" else 1
    spacing, origin = np.array(metadata.spacing), np.array(metadata.origin or (0.0, 0.0, 0.0))
    origin += spacing * (np.array([part.start * scale for part in region]) + (scale - 1) / 2)
    return dataclasses.replace(
        metadata, spacing=tuple((spacing * scale).tolist()), origin=tuple(origin.tolist())
    )
