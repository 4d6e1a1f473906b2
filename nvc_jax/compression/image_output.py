"""Decoded chunks to their destination: those of one region, and an image with all of its levels."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import tensorstore as ts

from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.region_metadata import region_metadata
from nvc_jax.container.images import coarser_levels, find_levels
from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import ChunkIndex, Region, full_region
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.heaps import releasing
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.locations import Location, open_location
from nvc_jax.io.zarr_group import create_zarr_array


def write_regions(
    parts: Iterable[tuple[Reader, Region, ts.TensorStore]],
    total_bytes: int,
    name: Path,
    on_progress: Callable[[ByteProgress], None] | None,
) -> None:
    """Decode the chunks of regions, several at a time, and write them.

    Args:
        parts: readers of containers, each with a region of its level and what is written, of the region's
            shape.
        total_bytes: of all of them.
        name: of the destination, for messages.
        on_progress: called before the first chunk of each region and after every chunk.
    """
    done_bytes = 0

    def report(reader: Reader) -> None:
        if on_progress is not None:
            on_progress(ByteProgress(done_bytes, total_bytes, 0, reader.chunk, str(reader.dtype)))

    for reader, region, target in parts:
        report(reader)
        with contextlib.closing(_write_pieces(reader, region, target, name)) as written:
            for n_bytes in written:
                done_bytes += n_bytes
                report(reader)


def _write_pieces(
    reader: Reader, region: Region, target: ts.TensorStore, name: Path
) -> Generator[int, None, None]:
    """Write the chunks of one region, and yield the bytes of each piece that is written."""

    def write_pieces(pieces: list[tuple[ChunkIndex, Region, Region]]) -> list[int]:
        decoded = reader.decode_chunks([index for index, _, _ in pieces])
        parts = [
            (in_region, values[in_chunk])
            for (_, in_region, in_chunk), values in zip(pieces, decoded, strict=True)
        ]
        with naming(name):
            for written in [target[in_region].write(values) for in_region, values in parts]:
                written.result()
        return [values.nbytes for _, values in parts]

    mapped = map_batches_on_devices(write_pieces, reader.pieces(region), reader.batch_size)
    with contextlib.closing(releasing(mapped)) as written:
        yield from written


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
                (reader, full_region(reader.shape), _create_level(partial / name, reader))
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
