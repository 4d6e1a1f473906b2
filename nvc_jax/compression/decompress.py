"""A container to a file."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nvc_jax.compression.destinations import check_apart
from nvc_jax.compression.progress import Progress
from nvc_jax.container.reader import Reader
from nvc_jax.container.store import Index
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.locations import Location
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.writers import check_writable, writing
from nvc_jax.transform.block_dct import BLOCK_SIZE

Region3 = tuple[slice, slice, slice]


def decompress(
    store: Location,
    destination: Path | str,
    *,
    region: Region3 | None = None,
    mode: str = "blend",
    level: str = "full",
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Decompress a container, or a region of it, into a file, chunk by chunk.

    Args:
        store: the container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        destination: ``.npy``, ``.npz``, ``.raw`` (named ``name_XxYxZ_dtype.raw``) or ``.zarr``; an
            existing one is replaced.
        region: (z, y, x) slices without steps, of the level; None for all of it. Only the chunks that the
            region touches are read and decoded, and their neighbours where margins are blended.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.
        level: ``"full"``, or ``"preview"`` for the means of 8³ voxels; see ``open``.
        on_progress: called after every chunk.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such store or directory to write to.
        FormatError: the store is damaged or no container.
        ValueError: a region outside the volume, an unknown mode, or a file name of the wrong form.
    """
    reader = Reader(store, mode, level)
    bounds = _check_region(region, reader.shape)
    destination = Path(destination)
    check_apart(store, destination)
    shape = check_shape(tuple(part.stop - part.start for part in bounds))
    check_writable(destination, shape, reader.dtype)
    with writing(destination, shape, reader.dtype, metadata=_metadata(reader, bounds)) as target:
        total, done = math.prod(shape) * reader.dtype.itemsize, 0

        def move(piece: tuple[Index, Region, Region]) -> int:
            index, into, of = piece
            values = reader.decode_chunk(index)[of]
            target[into].write(values).result()
            return values.nbytes

        with contextlib.closing(map_in_order(move, reader.pieces(bounds))) as moved:
            for n_bytes in moved:
                done += n_bytes
                if on_progress is not None:
                    on_progress(Progress(done, total, 0))


def _metadata(reader: Reader, region: Region) -> VolumeMetadata:
    """What the container keeps of the source's coordinates, for a region of a level."""
    about = VolumeMetadata.from_attributes(reader.header.dimension_names, reader.header.attributes)
    if about.spacing is None:
        return about
    # Voxel i of a level stands for some of the volume, whose middle is where it lies.
    by = BLOCK_SIZE if reader.level == "preview" else 1
    spacing, origin = np.array(about.spacing), np.array(about.origin or (0.0, 0.0, 0.0))
    origin += spacing * (np.array([part.start * by for part in region]) + (by - 1) / 2)
    return dataclasses.replace(about, spacing=tuple((spacing * by).tolist()), origin=tuple(origin.tolist()))


def _check_region(region: Region3 | None, shape: Shape3) -> Region:
    """``region`` with its bounds filled in; all of the volume if it is None."""
    bounds = []
    for part, side in zip(region or (slice(None),) * 3, shape, strict=True):
        start, stop = part.start or 0, side if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= side:
            raise ValueError(f"`region` {region} must lie within the volume's shape {shape} and not be empty")
        bounds.append(slice(start, stop))
    return tuple(bounds)
