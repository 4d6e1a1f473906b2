"""Axes of an array in a file of a format that holds fewer axes, or more."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.shapes import Shape
from nvc_jax.io.file_format import FileFormat
from nvc_jax.io.metadata import (
    VolumeMetadata,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.spatial_metadata import spatial_part


@dataclasses.dataclass(frozen=True)
class WrittenAxes:
    """Axes of an array that a file has.

    Attributes:
        shape: of the array.
        kept: axes of the array that the file has; the others have length 1.
        n_before: axes of length 1 that the file has before them.
    """

    shape: Shape
    kept: tuple[int, ...]
    n_before: int = 0

    @property
    def file_shape(self) -> Shape:
        """Shape of the array in the file."""
        return (*(1,) * self.n_before, *(self.shape[axis] for axis in self.kept))

    def view(self, store: ts.TensorStore) -> ts.TensorStore:
        """View a store of the shape in the file as one of the array's shape."""
        store = store[(0,) * self.n_before] if self.n_before else store
        axes = range(len(self.shape))
        return store[tuple(slice(None) if axis in self.kept else ts.newaxis for axis in axes)]

    def select(self, metadata: VolumeMetadata) -> VolumeMetadata:
        """Return the metadata of the axes in the file."""
        if self.n_before:
            return spatial_part(metadata, len(self.shape))
        rank = len(self.kept)
        if rank == len(self.shape):
            return metadata

        def chosen(values: Sequence[Any] | None) -> list[Any] | None:
            return None if values is None else [values[axis] for axis in self.kept]

        return dataclasses.replace(
            metadata,
            dimension_names=parse_names(chosen(metadata.dimension_names), rank),
            spacing=parse_spacing(chosen(metadata.spacing), rank),
            origin=parse_numbers(chosen(metadata.origin), rank),
            units=parse_names(chosen(metadata.units), rank),
        )


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
        return WrittenAxes(shape, tuple(range(rank)))
    fewest, most = file_format.ranks[0], file_format.ranks[-1]
    if rank < fewest:
        return WrittenAxes(shape, tuple(range(rank)), fewest - rank)
    kept = kept_axes(shape, names, most)
    if len(kept) > most:
        step = ",".join(["0:1"] * (rank - most) + [":"] * most)
        raise ValueError(
            f"`{path}`: a file of {path.suffix} has {most} axes, and the volume has shape {shape}; write one "
            f"step of it, such as the region {step}, or choose another format, such as .npy or .nii"
        )
    return WrittenAxes(shape, tuple(kept))
