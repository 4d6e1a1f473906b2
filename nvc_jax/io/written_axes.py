"""Axes of an array in a file of a format that holds fewer axes, or more, or has an order of its own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.shapes import Shape
from nvc_jax.io.file_format import FileFormat
from nvc_jax.io.metadata import VolumeMetadata, kept_axes
from nvc_jax.io.spatial_metadata import metadata_of_axes


@dataclasses.dataclass(frozen=True)
class WrittenAxes:
    """Axes of a file, and those of the array that it holds.

    Attributes:
        shape: of the array.
        order: for each axis of the file that of the array; None for one of length 1 that the array lacks.
            Axes of the array that are not among them have length 1.
    """

    shape: Shape
    order: tuple[int | None, ...]

    @property
    def file_shape(self) -> Shape:
        """Shape of the array in the file."""
        return tuple(1 if axis is None else self.shape[axis] for axis in self.order)

    def view(self, store: ts.TensorStore) -> ts.TensorStore:
        """View a store of the shape in the file as one of the array's shape."""
        store = store[tuple(0 if axis is None else slice(None) for axis in self.order)]
        kept = [axis for axis in self.order if axis is not None]
        store = store.transpose([kept.index(axis) for axis in sorted(kept)])
        return store[tuple(slice(None) if axis in kept else ts.newaxis for axis in range(len(self.shape)))]

    def select(self, metadata: VolumeMetadata) -> VolumeMetadata:
        """Return the metadata of the axes of the file."""
        if self.order == tuple(range(len(self.shape))):
            return metadata
        return metadata_of_axes(metadata, self.order)


def choose_written_axes(
    path: Path, shape: Shape, names: Sequence[Any] | None, file_format: FileFormat | None
) -> WrittenAxes:
    """Choose the axes that a file has: all, if its format holds them.

    Args:
        path: of the file.
        shape: of the array.
        names: of its axes, if known.
        file_format: of the file; None for Zarr, which holds any.

    Raises:
        ValueError: the format holds fewer axes than the array has, those of length 1 left out.
    """
    rank = len(shape)
    if file_format is None or rank in file_format.ranks:
        arrange = None if file_format is None else file_format.arrange
        return WrittenAxes(shape, tuple(range(rank)) if arrange is None else arrange(shape, names))
    fewest, most = file_format.ranks[0], file_format.ranks[-1]
    if rank < fewest:
        return WrittenAxes(shape, (*[None] * (fewest - rank), *range(rank)))
    kept = kept_axes(shape, names, most)
    if len(kept) > most:
        step = ",".join(["0:1"] * (rank - most) + [":"] * most)
        raise ValueError(
            f"`{path}`: a file of {path.suffix} has {most} axes, and the volume has shape {shape}; write one "
            f"step of it, such as the region {step}, or choose another format, such as .npy or .nii"
        )
    return WrittenAxes(shape, tuple(kept))
