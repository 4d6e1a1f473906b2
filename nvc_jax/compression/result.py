"""Result of ``compress``."""

import dataclasses
import math

import numpy as np

from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.model import describe_model
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_interfaces import QualityTarget
from nvc_jax.io.locations import Location


@dataclasses.dataclass(frozen=True)
class CompressionResult:
    """A container that ``compress`` wrote, or a part of one.

    Attributes:
        location: of the container, as it was given.
        model: name of the model.
        is_complete: whether the container is complete; False where other writers have parts to write. The
            fields below are None then.
        stored_bytes: bytes of the container, metadata and embedded model included.
        ratio: bytes of the volume in its own dtype over ``stored_bytes``.
        bits_per_voxel: 8 · ``stored_bytes`` over the number of voxels.
        max_error: largest difference from the original, in the volume's units, special values left out.
        target: the quality target that the container states: the one that was asked for, or lossless where
            labels or bool are.
        bound: largest difference allowed, in the volume's units; None where there is no bound.
        source_bytes: bytes of the volume in its own dtype.
    """

    location: Location
    model: str
    is_complete: bool
    stored_bytes: int | None = None
    ratio: float | None = None
    bits_per_voxel: float | None = None
    max_error: float | None = None
    target: QualityTarget | None = None
    bound: float | None = None
    source_bytes: int | None = None

    @classmethod
    def of_container(cls, location: Location) -> "CompressionResult":
        """Describe a complete container by reading it."""
        store = open_container(location)
        return cls.complete(location, store.metadata, store.stored_bytes(), store.largest_stated_error())

    @classmethod
    def complete(
        cls, location: Location, metadata: ContainerMetadata, stored_bytes: int, max_error: float
    ) -> "CompressionResult":
        """Describe a complete container from its size and largest error."""
        n_voxels = math.prod(metadata.shape)
        source_bytes = n_voxels * np.dtype(metadata.dtype).itemsize
        return cls(
            location,
            describe_model(metadata)[0],
            is_complete=True,
            stored_bytes=stored_bytes,
            ratio=source_bytes / stored_bytes,
            bits_per_voxel=8 * stored_bytes / n_voxels,
            max_error=max_error,
            target=metadata.target,
            bound=metadata.max_error,
            source_bytes=source_bytes,
        )
