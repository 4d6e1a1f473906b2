"""Reading of a container: chunks are decoded one by one, only as far as they are asked for."""

import collections
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from nvc_jax.chunks.halo import make_window
from nvc_jax.chunks.payload import parse_payload
from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE
from nvc_jax.chunks.step_payload import stated_shape
from nvc_jax.container.metadata import FormatError
from nvc_jax.container.model import make_decoder
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.core.choices import check_mode
from nvc_jax.core.chunk_grid import (
    ChunkIndex,
    Region,
    chunk_region,
    chunk_valid_shape,
    chunks_in_region,
)
from nvc_jax.core.chunk_interfaces import HaloChunkDecoder
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.shapes import Shape, grid_shape
from nvc_jax.core.spatial_axes import coded_shape, neighbour_index, spatial_index, spatial_shape
from nvc_jax.io.locations import Location

LEVELS = ("full", "preview")
Piece = tuple[ChunkIndex, Region, Region]
"""A chunk that a region touches: its index, the overlap in the region, and in the chunk."""
_CACHED_NEIGHBOURS = 128
"""Chunks whose blocks are kept for decoding the chunks around them. In z, y, x order a chunk is needed again
until the next layer is decoded; 128 hold two layers of 8 × 8 chunks."""


class Reader:
    """A container and its model.

    Args:
        location: of the container.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.
        level: ``"full"``, or ``"preview"`` for means of 8³ voxels.

    Attributes:
        store: the container's chunks.
        shape, chunk: voxels of the level and of its chunks along each axis.
        scale: voxels of the volume that make one of the level, along each axis.
        dtype: of the volume, and of its preview.

    Raises:
        FileNotFoundError: there is no such container, or its model cannot be found.
        FormatError: the container is damaged, or is none.
        ValueError: the mode or the level is unknown.
    """

    @in_own_settings
    def __init__(self, location: Location, mode: str = "blend", level: str = "full") -> None:
        check_mode(mode)
        if level not in LEVELS:
            raise ValueError(f"`level` (={level!r}) must be one of {', '.join(LEVELS)}")
        self.store: ContainerStore = open_container(location)
        self.level, self.metadata = level, self.store.metadata
        try:
            self._decoder = make_decoder(self.metadata, mode)
        except FormatError as error:
            raise FormatError(f"`{location}`: {error}") from error

        self.dtype = np.dtype(self.metadata.dtype)
        self.shape, self.chunk = self.metadata.shape, self.metadata.chunk
        self.scale = (1,) * len(self.shape)
        if level == "preview":
            if not self.metadata.has_preview:
                raise ValueError(
                    f"`level` (={level!r}): chunks of {self.chunk} are no multiples of {PREVIEW_BLOCK_SIZE}"
                )
            self.scale = self.metadata.preview_scale
            self.shape, self.chunk = (
                tuple(-(-side // scale) for side, scale in zip(sides, self.scale, strict=True))
                for sides in (self.shape, self.chunk)
            )
        self._blocks = functools.lru_cache(maxsize=_CACHED_NEIGHBOURS)(self._read_blocks)

    def pieces(self, region: Region) -> Iterator[Piece]:
        """Iterate over the chunks that a region of the level touches; see ``chunks_in_region``."""
        return chunks_in_region(region, self.chunk)

    def decode(self, region: Region, *, on_devices: bool = False) -> np.ndarray:
        """Decode the voxels of a region; arguments as of ``decode_into``."""
        self.check_present(region)
        result = np.empty([part.stop - part.start for part in region], self.dtype)
        self.decode_into(result, region, on_devices=on_devices)
        return result

    def decode_into(self, result: np.ndarray, region: Region, *, on_devices: bool = False) -> None:
        """Decode the voxels of a region into an array.

        Args:
            result: of the region's shape and the volume's dtype.
            region: slices with bounds, within the level, and not empty.
            on_devices: whether to decode several chunks at a time, on all devices in use.
        """
        if on_devices:
            pieces = list(self.pieces(region))
            decode_pieces = functools.partial(self.decode_pieces, result)
            mapped = map_batches_on_devices(decode_pieces, pieces, self.batch_size, len(pieces))
            collections.deque(mapped, 0)
        else:
            for piece in self.pieces(region):
                self.decode_pieces(result, [piece])

    def decode_pieces(self, result: np.ndarray, pieces: Sequence[Piece]) -> list[None]:
        """Decode at most ``batch_size`` chunks, and put what a region has of them into the region's array."""
        decoded = self.decode_chunks([index for index, _, _ in pieces])
        for (_, in_region, in_chunk), values in zip(pieces, decoded, strict=True):
            result[in_region] = values[in_chunk]
        return [None] * len(pieces)

    def check_present(self, region: Region) -> None:
        """Check that the last chunk of a region is there, before memory or files are made for several chunks.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        first, last = (
            tuple(position // n for position, n in zip(corner, self.chunk, strict=True))
            for corner in ([part.start for part in region], [part.stop - 1 for part in region])
        )
        if first != last:
            self.store.read(last)

    @in_own_settings
    def decode_chunk(self, index: ChunkIndex) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the level.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        if isinstance(self._decoder, HaloChunkDecoder) and self._decoder.halo:
            return self._decode_in_halo(self._decoder, index)
        payload = self._read_payload(index)
        decode = self._decoder.decode if self.level == "full" else self._decoder.decode_preview
        with self.store.naming_damage(index):
            return decode(payload).reshape(chunk_valid_shape(index, self.chunk, self.shape))

    def _read_payload(self, index: ChunkIndex) -> bytes:
        """Read a chunk's payload and check it before decoding, which makes an array of the size it states."""
        payload = self.store.read(index)
        with self.store.naming_damage(index):
            parsed = parse_payload(payload, self.metadata.spatial_chunk)
            self._check_valid_shape(index, stated_shape(parsed, self.metadata.n_steps))
        return payload

    @property
    def batch_size(self) -> int:
        """Largest number of chunks for ``decode_chunks``; 1 on CPUs, and where chunks need others."""
        has_halo = isinstance(self._decoder, HaloChunkDecoder) and self._decoder.halo
        return 1 if self.level != "full" or has_halo else self._decoder.batch_size

    @in_own_settings
    def decode_chunks(self, indices: Sequence[ChunkIndex]) -> list[np.ndarray]:
        """Decode at most ``batch_size`` chunks together; results and errors are those of ``decode_chunk``."""
        if len(indices) == 1:
            return [self.decode_chunk(indices[0])]
        try:
            decoded = self._decoder.decode_together([self._read_payload(index) for index in indices])
        except ValueError:
            # One of them is damaged: alone, it is named.
            return [self.decode_chunk(index) for index in indices]
        return [
            values.reshape(chunk_valid_shape(index, self.chunk, self.shape))
            for index, values in zip(indices, decoded, strict=True)
        ]

    def _decode_in_halo(self, decoder: HaloChunkDecoder, index: ChunkIndex) -> np.ndarray:
        """Decode a chunk from its own blocks and those of the chunks around it."""
        chunk = self.metadata.chunk
        grid, chunk_blocks = (
            grid_shape(spatial_shape(sides, chunk), decoder.block_size)
            for sides in (self.metadata.shape, chunk)
        )
        own_region = chunk_region(spatial_index(index, chunk), chunk_blocks, grid)
        window = make_window(own_region, chunk_blocks, grid, decoder.halo)
        own_blocks = self._blocks(decoder, index)
        blocks = np.empty((*window.shape, *own_blocks.shape[3:]), own_blocks.dtype)
        for spatial, in_window, in_chunk in chunks_in_region(window.region, chunk_blocks):
            neighbour = neighbour_index(spatial, index, chunk)
            blocks[in_window] = self._blocks(decoder, neighbour)[in_chunk]
        payload = self.store.read(index)
        with self.store.naming_damage(index):
            values = decoder.decode_in_halo(payload, blocks, window.chunk, preview=self.level == "preview")
            return values.reshape(chunk_valid_shape(index, self.chunk, self.shape))

    def _read_blocks(self, decoder: HaloChunkDecoder, index: ChunkIndex) -> np.ndarray:
        """Read the blocks of a chunk that the chunks around it need."""
        payload = self.store.read(index)
        with self.store.naming_damage(index):
            valid_shape, blocks = decoder.read_blocks(payload)
            self._check_valid_shape(index, valid_shape)
            return blocks

    def _check_valid_shape(self, index: ChunkIndex, valid_shape: Shape) -> None:
        """Raise ``ValueError`` unless a chunk holds as many voxels as lie in the volume."""
        whole = chunk_valid_shape(index, self.metadata.chunk, self.metadata.shape)
        expected = coded_shape(whole, self.metadata.chunk)
        if valid_shape != expected:
            raise ValueError(f"it holds {valid_shape} voxels; there are {expected}")
