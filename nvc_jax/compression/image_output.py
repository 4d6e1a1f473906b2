"""Decoded chunks to their destination: those of one region, and an image with all of its levels."""

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorstore as ts

from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.region_metadata import region_metadata
from nvc_jax.container.images import coarser_levels, find_levels
from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region, chunks_in_region, first_voxel, full_region, shift_region
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.heaps import releasing
from nvc_jax.core.shapes import Shape
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.locations import Location, open_location
from nvc_jax.io.zarr_group import create_zarr_array


class Output(NamedTuple):
    """A region of a container, and where it is written.

    Attributes:
        reader: of the container.
        region: of the reader's level.
        target: of the region's shape.
        chunk: voxels along each axis to write at a time, multiples of the container's chunks: parts of chunks
            of the target would be read before they are written.
    """

    reader: Reader
    region: Region
    target: ts.TensorStore
    chunk: Shape


def write_regions(
    outputs: Iterable[Output],
    total_bytes: int,
    name: Path,
    on_progress: Callable[[ByteProgress], None] | None,
) -> None:
    """Decode the chunks of regions, several at a time, and write them.

    Args:
        outputs: the regions.
        total_bytes: of all of them.
        name: of the destination, for messages.
        on_progress: called before the first chunk of each region and after every chunk.
    """
    done_bytes = 0

    def report(reader: Reader) -> None:
        if on_progress is not None:
            on_progress(ByteProgress(done_bytes, total_bytes, 0, reader.chunk, str(reader.dtype)))

    for output in outputs:
        report(output.reader)
        with contextlib.closing(_write_parts(output, name)) as written:
            for n_bytes in itertools.chain.from_iterable(written):
                done_bytes += n_bytes
                report(output.reader)


def _write_parts(output: Output, name: Path) -> Generator[list[int], None, None]:
    """Write a region part by part, and yield the bytes of each chunk of a part that is written."""
    reader, region, target, chunk = output
    n_together = math.prod(side // own for side, own in zip(chunk, reader.chunk, strict=True))

    def write_parts(parts: list[Region]) -> list[list[int]]:
        in_container = [shift_region(part, first_voxel(region)) for part in parts]
        decoded, sizes = _decode_parts(reader, in_container)
        with naming(name):
            for written in [target[part].write(values) for part, values in zip(parts, decoded, strict=True)]:
                written.result()
        return sizes

    parts = (in_region for _, in_region, _ in chunks_in_region(region, chunk))
    mapped = map_batches_on_devices(write_parts, parts, max(reader.batch_size // n_together, 1))
    with contextlib.closing(releasing(mapped)) as written:
        yield from written


def _decode_parts(reader: Reader, parts: Sequence[Region]) -> tuple[list[np.ndarray], list[list[int]]]:
    """Decode regions of a container.

    Returns:
        The values of each region; and for each region the bytes that it takes from each of its chunks.
    """
    results = [np.empty([part.stop - part.start for part in region], reader.dtype) for region in parts]
    pieces = [(number, piece) for number, region in enumerate(parts) for piece in reader.pieces(region)]
    sizes: list[list[int]] = [[] for _ in parts]
    for first in range(0, len(pieces), reader.batch_size):
        batch = pieces[first : first + reader.batch_size]
        decoded = reader.decode_chunks([index for _, (index, _, _) in batch])
        for (number, (_, in_part, in_chunk)), values in zip(batch, decoded, strict=True):
            wanted = values[in_chunk]
            sizes[number].append(wanted.nbytes)
            if wanted.shape == results[number].shape:
                results[number] = wanted
            else:
                results[number][in_part] = wanted
    return results, sizes


def write_image(
    container: Location,
    destination: Path,
    mode: str,
    *,
    overwrite: bool,
    on_progress: Callable[[ByteProgress], None] | None,
) -> None:
    """Decompress all levels of an image of containers to a plain OME-Zarr image; see ``decompress``."""
    objects = open_location(container)
    readers = [Reader(level, mode) for level in (container, *coarser_levels(container))]
    total_bytes = sum(math.prod(reader.shape) * reader.dtype.itemsize for reader in readers)
    with replacing(destination, overwrite=overwrite) as partial:
        with naming(destination):
            partial.mkdir()
            # It lists the levels, and nothing in it depends on their codec.
            (partial / METADATA_KEY).write_bytes(bytes(objects.read(METADATA_KEY).result().value))
            levels = [
                Output(reader, full_region(reader.shape), _create_level(partial / name, reader), reader.chunk)
                for name, reader in zip(find_levels(objects), readers, strict=True)
            ]
        write_regions(levels, total_bytes, destination, on_progress)


def _create_level(path: Path, reader: Reader) -> ts.TensorStore:
    """Create the plain array of a level, with the chunks and the metadata that its container has."""
    metadata = region_metadata(reader, full_region(reader.shape))
    names = metadata.complete_names(len(reader.shape))
    chunk = tuple(map(min, reader.chunk, reader.shape))
    return create_zarr_array(
        path, reader.shape, reader.dtype, chunk, names, metadata.as_attributes(reader.dtype)
    )
