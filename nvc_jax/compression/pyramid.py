"""A volume as an OME-Zarr image: levels of half the resolution each, every one a container.

The image appears under its name when all levels are there.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.compression.coarsening import FACTOR, halve_by_means, halve_by_mode, halved
from nvc_jax.compression.labels import holds_labels
from nvc_jax.compression.region_metadata import part_metadata
from nvc_jax.compression.result import CompressionResult
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.atomic import naming_for, replacing
from nvc_jax.io.axes import default_spatial_axes
from nvc_jax.io.lazy import read_region
from nvc_jax.io.locations import Location
from nvc_jax.io.metadata import parse_names
from nvc_jax.io.ome_zarr import OME_SUFFIX, axis_names, is_ome_zarr, without_group, write_group
from nvc_jax.io.paths import local_path
from nvc_jax.io.volume_view import with_metadata
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.io.zarr_group import create_zarr_array

COARSEST_SIDE = 128
"""Voxels along every spatial axis of the coarsest level, at most: one chunk."""
_PIECE_SIDE = 128
"""Voxels along a spatial axis of a coarser level that are made at a time."""

CompressLevel = Callable[..., CompressionResult]
"""``compress`` with the options of all levels; it takes source, destination and further options."""


def check_whole(
    destination: Location, asked: Location, *, part: Any, resume: bool, pyramid: bool, variable: str | None
) -> Path | None:
    """Check the place of a group that is written by one run, and return its path; None for a container alone.

    Args:
        destination: of the container, or of the group.
        asked: as the user named it, for messages.
        part: of a writer; None, or (0, 1), where there is one.
        resume: whether a run is to be continued.
        pyramid: whether the group is an image.
        variable: name of a variable in the group, or None.

    Raises:
        ValueError: an image has no local path that ends in ``.ome.zarr``, or the run is one of several.
    """
    if not pyramid and variable is None:
        return None
    path = local_path(destination)
    if pyramid and (path is None or variable is not None or not is_ome_zarr(path)):
        raise ValueError(
            f"`destination` (={asked}) of a `pyramid` must be a path that ends in {OME_SUFFIX}, "
            f"such as scan{OME_SUFFIX}"
        )
    if path is None:
        raise ValueError(f"`destination` (={asked}) names a group that is no path; name a local one")
    if (part is not None and part[1] > 1) or resume:
        raise ValueError(
            f"`destination` (={asked}) is a group, which one run writes as a whole: leave `part` and "
            "`resume` out, or write a container alone, without `pyramid` and without `::`"
        )
    return path


def compress_pyramid(
    compress_level: CompressLevel, source: Any, path: Path, *, overwrite: bool = False
) -> CompressionResult:
    """Compress a volume into an image with levels.

    The levels after the first are made of the original: of labels by the most frequent value, of all else by
    means, in which missing values do not count. Their targets are those of the first level.

    Args:
        compress_level: compresses one level.
        source: the volume.
        path: of the image.
        overwrite: whether a file or Zarr array that lies there is replaced.

    Returns:
        The first level's result, with the bytes of all levels.
    """
    volume, metadata = open_volume(source), read_metadata(source)
    shape = tuple(volume.shape)
    names = axis_names(metadata, len(shape))
    named = dataclasses.replace(
        metadata, dimension_names=parse_names(names, len(shape)), attributes=without_group(metadata)
    )
    scales = choose_scales(shape, default_spatial_axes(shape, names))
    by_mode = holds_labels(volume)
    with replacing(path, overwrite=overwrite) as partial, naming_for(partial, path):
        write_group(partial, metadata, shape, scales)
        finest = with_metadata(volume, named)
        results = [compress_level(finest, partial / "0")]
        stated = open_container(partial / "0").metadata
        level, values = volume, stated.value_range
        of_coarser: dict[str, Any] = {"missing_values": values.missing_values}
        # Labels are lossless, though a coarser level may not look like it; bool always is.
        if stated.target == {"lossless": True} and stated.dtype != "bool":
            of_coarser |= {"lossless": True}
        for number, scale in enumerate(scales[1:], 1):
            temporary = partial.with_name(f"level-{number}")
            axes = [axis for axis, side in enumerate(scale) if side > scales[number - 1][axis]]
            level = _write_coarser(level, axes, temporary, None if by_mode else values)
            coarse = with_metadata(level, part_metadata(named, [0] * len(scale), level.shape, scale))
            results.append(compress_level(coarse, partial / str(number), **of_coarser))
    return _joined(results, path)


def choose_scales(shape: Shape, axes: list[int]) -> list[tuple[int, ...]]:
    """Return the voxels of the volume that make one of each level, along each axis.

    Args:
        shape: of the volume.
        axes: spatial axes, along which levels are halved until no side is longer than that of a chunk.
    """
    scales = [(1,) * len(shape)]
    while max(-(-shape[axis] // scales[-1][axis]) for axis in axes) > COARSEST_SIDE:
        scales.append(
            tuple(
                n * FACTOR if axis in axes and -(-shape[axis] // n) > 1 else n
                for axis, n in enumerate(scales[-1])
            )
        )
    return scales


def _write_coarser(
    volume: ts.TensorStore, axes: list[int], path: Path, values: ValueRange | None
) -> ts.TensorStore:
    """Write the next level of a volume to a temporary Zarr array, piece by piece.

    Args:
        volume: the level before.
        axes: along which it is halved.
        path: of the array, in the directory of the run.
        values: rules of the volume's values, for means; None for the most frequent values.
    """
    shape = halved(volume.shape, axes)
    spatial = range(len(shape) - N_SPATIAL, len(shape))
    piece = tuple(min(side, _PIECE_SIDE) if axis in spatial else 1 for axis, side in enumerate(shape))
    dtype = volume.dtype.numpy_dtype
    names = [f"dim_{axis}" for axis in range(len(shape))]
    coarser = create_zarr_array(path, shape, dtype, piece, names, {})

    def write_piece(region: Region) -> None:
        finer = tuple(
            slice(part.start * n, min(part.stop * n, side))
            for part, n, side in zip(region, _factors(axes, len(shape)), volume.shape, strict=True)
        )
        fine = read_region(volume, finer)
        if values is None:
            coarse = halve_by_mode(fine, axes)
        else:
            coarse = halve_by_means(fine, axes, values.missing_values, values.valid_limits)
        coarser[region].write(coarse).result()

    for _ in map_in_order(write_piece, chunk_regions(shape, piece)):
        pass
    return coarser


def _factors(axes: list[int], rank: int) -> list[int]:
    return [FACTOR if axis in axes else 1 for axis in range(rank)]


def _joined(results: list[CompressionResult], path: Path) -> CompressionResult:
    """Join the results of all levels: ratio and bits are of the volume and the bytes of all of them."""
    first = results[0]
    n_bytes = sum(result.stored_bytes or 0 for result in results)
    share = n_bytes / (first.stored_bytes or 1)
    return dataclasses.replace(
        first,
        location=path,
        stored_bytes=n_bytes,
        ratio=(first.ratio or 0.0) / share,
        bits_per_voxel=(first.bits_per_voxel or 0.0) * share,
    )
