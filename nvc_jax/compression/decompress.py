"""A container, or a region of it, to a file, chunk by chunk."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.compression.image_output import Output, write_image, write_regions
from nvc_jax.compression.options import check_types
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.region_metadata import region_metadata
from nvc_jax.container.destinations import check_apart
from nvc_jax.container.images import coarser_levels
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.locations import Location
from nvc_jax.io.ome_zarr import is_ome_zarr
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.writers import CHUNK_SIDE, check_writable, writing
from nvc_jax.io.zarr_group import split_variable


def decompress(
    container: Location,
    destination: Path | str,
    *,
    region: Sequence[slice] | None = None,
    mode: str = "blend",
    level: str = "full",
    overwrite: bool = False,
    on_progress: Callable[[ByteProgress], None] | None = None,
) -> None:
    """Decompress a container, or a region of it, into a file, chunk by chunk.

    Args:
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        destination: ``.npy``, ``.npz``, ``.raw`` (named ``name_XxYxZ_dtype.raw``), ``.zarr`` or
            ``.ome.zarr``, or ``NAME.zarr::VARIABLE`` for a group with coordinates, as xarray reads it; with
            the extra ``io`` also ``.nii``, ``.nii.gz``, ``.mgh``, ``.mgz``, ``.nrrd``, ``.mha``, ``.mrc``
            (``.map``, ``.rec``, ``.st``), ``.tif``, ``.tiff``, ``.h5``, ``.hdf5`` or ``.nc``. Nothing may lie
            there unless ``overwrite`` is true. Positions, units and attributes of the source are written as
            far as the format has a place for them. All levels of an image of containers (``pyramid``) become
            those of a plain OME-Zarr image, unless a region or the preview is asked for.
        region: a slice without a step for each axis of the level; None for all of it. Only the chunks that
            the region touches are read and decoded, and their neighbours where margins are blended.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.
        level: ``"full"``, or ``"preview"`` for the means of 8³ voxels; see ``open``.
        overwrite: whether to replace a file, or a directory that is a Zarr array, at ``destination``. A
            directory with anything else in it is never replaced.
        on_progress: called before the first chunk and after every one.

    Raises:
        BlockingIOError: another run is writing to ``destination``.
        FileExistsError: something lies at ``destination`` that is not replaced.
        FileNotFoundError: there is no such container or directory to write to.
        FormatError: the container is damaged, or is none.
        ModuleNotFoundError: the library that writes the format is not installed.
        TypeError: the format does not have the volume's dtype.
        ValueError: a region outside the volume, an unknown mode, or a file name of the wrong form.
    """
    locations = {"container": container, "destination": destination}
    check_types(locations, on_progress, overwrite=overwrite)
    named, variable = split_variable(destination)
    destination = output_path(named)
    check_apart(container, destination)
    check_replaceable(destination, overwrite)
    is_whole = region is None and level == "full" and variable is None
    if is_whole and is_ome_zarr(destination) and coarser_levels(container):
        write_image(container, destination, mode, overwrite=overwrite, on_progress=on_progress)
        return
    reader = Reader(container, mode, level)
    bounds = _check_region(region, reader.shape)
    reader.check_present(bounds)
    shape = tuple(part.stop - part.start for part in bounds)
    check_writable(destination, shape, reader.dtype, overwrite)

    metadata, chunk = region_metadata(reader, bounds), _choose_chunk(reader.chunk)
    options: dict[str, Any] = {"chunk": chunk, "metadata": metadata, "variable": variable}
    with writing(destination, shape, reader.dtype, **options, overwrite=overwrite) as target:
        total_bytes = math.prod(shape) * reader.dtype.itemsize
        write_regions([Output(reader, bounds, target, chunk)], total_bytes, destination, on_progress)


def _choose_chunk(chunk: Shape) -> Shape:
    """Choose the voxels along each axis that are written at a time, by the container's chunks.

    Small chunks are joined: each write takes time whatever its size, and in Zarr it makes a file.
    """
    n_before = max(len(chunk) - N_SPATIAL, 0)
    return (*chunk[:n_before], *(max(CHUNK_SIDE // side, 1) * side for side in chunk[n_before:]))


def _check_region(region: Sequence[slice] | None, shape: Shape) -> Region:
    """Fill in the bounds of a region; all of the volume where it is None."""
    rank = len(shape)
    if region is not None and not _is_slices(region):
        raise ValueError(
            f"`region` (={region!r:.80}) must be {rank} slices of integers, one for each axis of {shape}, "
            f"such as np.s_[{', '.join([':'] * (rank - 1))}, 4:]"
        )
    whole = ",".join(f"0:{side}" for side in shape)
    stated = ",".join(f"{_text(part.start)}:{_text(part.stop)}{_step_text(part)}" for part in region or ())
    if region is not None and len(region) != rank:
        raise ValueError(
            f"`region` (={stated}) must be {rank} slices, one for each axis of the volume, {whole}"
        )
    bounds = []
    for part, side in zip(region or (slice(None),) * rank, shape, strict=True):
        start, stop = part.start or 0, side if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= side:
            raise ValueError(
                f"`region` (={stated}) must lie within the volume, {whole}, have no steps and not be empty"
            )
        bounds.append(slice(start, stop))
    return tuple(bounds)


def _is_slices(region: Any) -> bool:
    """Tell whether a region is made of slices with integers or None as their bounds."""
    if not isinstance(region, Sequence):
        return False
    return all(
        isinstance(part, slice)
        and all(bound is None or isinstance(bound, int | np.integer) for bound in (part.start, part.stop))
        for part in region
    )


def _text(bound: int | None) -> str:
    return "" if bound is None else str(bound)


def _step_text(part: slice) -> str:
    return "" if part.step in (None, 1) else f":{part.step}"
