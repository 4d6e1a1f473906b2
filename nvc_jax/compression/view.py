"""A container as a view that decodes what is read, and its preview."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorstore as ts

from nvc_jax.compression.region_metadata import region_metadata
from nvc_jax.compression.whole_read import begin_whole_read
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import Region, full_region
from nvc_jax.core.deferred import Deferred
from nvc_jax.core.device_batches import BATCHES_PER_DEVICE
from nvc_jax.core.devices import DeviceRota, devices_in_use
from nvc_jax.core.joined_calls import JoinedCalls
from nvc_jax.io.locations import Location, local_path
from nvc_jax.io.paths import check_location
from nvc_jax.io.volume_view import OpenVolume, VolumeView

DEFAULT_CACHE_BYTES = 1 << 28
"""Decoded chunks that a view keeps: 32 chunks of 128³ float32."""
_LARGE_BYTES = 1 << 36
"""Bytes of a volume (64 GiB) beyond which its last chunk must be there: TensorStore ends the process where it
gets no memory for a read of all, so that a size that is only stated must not be believed."""
_N_READS = 4
"""Reads at a time of one view."""
_MOST_READS = 256
"""Reads at a time on accelerators, of which each waits in a thread for chunks that are decoded together."""


def open(
    container: Location,
    *,
    mode: str = "blend",
    level: str = "full",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> VolumeView:
    """Open a container as a read-only view, which decodes only what is read.

    A view is used like a ``tensorstore.TensorStore``, which it holds as ``store``. dask takes it as an array
    (``dask.array.from_array``), and it can be pickled: another process opens the container anew.

    Args:
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.
        level: ``"full"``, or ``"preview"`` for a volume of the means of 8³ voxels, for which the rest of
            the chunks is not decoded.
        cache_bytes: bytes of decoded chunks that are kept for later reads; 0 for none. A read of the whole
            view on CPUs keeps none: it has them all.

    Returns:
        A view of the volume's shape and dtype. A read decodes the chunks that it touches, several at a time.

    Raises:
        FileNotFoundError: there is no such container.
        FormatError: the container is damaged, or is none, or the last chunk of a very large one is missing.
        ValueError: the mode or the level is unknown.
    """
    check_location(container, "container")
    path = local_path(container)
    if path is not None:
        container = Path(path).absolute()  # another process may work elsewhere
    return VolumeView(functools.partial(_open_container, container, mode, level, cache_bytes))


def _open_container(container: Location, mode: str, level: str, cache_bytes: int) -> OpenVolume:
    """Open a container as a TensorStore, with its metadata."""
    reader = Reader(container, mode, level)
    if math.prod(reader.shape) * reader.dtype.itemsize > _LARGE_BYTES:
        reader.check_present(full_region(reader.shape))

    decode, n_reads, decode_all = _choose_reading(reader)

    def read(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        decode.value(chunk, domain.index_exp)

    @functools.cache
    def make_store() -> ts.TensorStore:
        # Threads of its own: decoding waits for reads of chunks, which TensorStore's shared threads do.
        resources = {
            "data_copy_concurrency": {"limit": n_reads},
            "cache_pool": {"total_bytes_limit": cache_bytes},
        }
        return ts.virtual_chunked(
            read,
            dtype=ts.dtype(reader.dtype),
            shape=reader.shape,
            chunk_layout=ts.ChunkLayout(chunk_shape=reader.chunk),
            context=ts.Context(resources),
        )

    read_metadata = functools.partial(region_metadata, reader, full_region(reader.shape))
    return OpenVolume(make_store, read_metadata, decode_all)


class _Reading(NamedTuple):
    """Functions that decode.

    Attributes:
        decode: decodes a region into an array.
        n_at_a_time: number of its calls at a time.
        decode_all: begins to decode all voxels; None where many calls of the other are as fast.
    """

    decode: Deferred[Callable[[np.ndarray, Region], None]]
    n_at_a_time: int
    decode_all: Callable[[], ts.Future[np.ndarray]] | None


def _choose_reading(reader: Reader) -> _Reading:
    """Choose the functions that decode.

    On accelerators, chunks that several calls ask for at a time are decoded together.
    """
    devices = devices_in_use()
    if reader.batch_size == 1:
        rota = DeviceRota(devices)

        def read(result: np.ndarray, region: Region) -> None:
            with rota.turn():
                reader.decode_into(result, region)

        return _Reading(Deferred(read), _N_READS, functools.partial(begin_whole_read, reader, rota))

    decode = JoinedCalls(reader.decode_chunks, reader.batch_size)

    def read_together(result: np.ndarray, region: Region) -> None:
        for index, in_region, in_chunk in reader.pieces(region):
            result[in_region] = decode(index)[in_chunk]

    n_reads = min(BATCHES_PER_DEVICE * len(devices) * reader.batch_size, _MOST_READS)
    return _Reading(Deferred(read_together), n_reads, None)
