"""An open container, decoded chunk by chunk, only as far as it is asked for."""

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from nvc_jax.autoencoder.blocks import check_mode
from nvc_jax.chunks.halo import make_window
from nvc_jax.chunks.preview import block_means, with_specials
from nvc_jax.chunks.special_values import restore_specials
from nvc_jax.container.chunk_decoder import PayloadDecoder
from nvc_jax.container.metadata import FormatError
from nvc_jax.container.store import Index, Store, open_container
from nvc_jax.core.chunk_grid import Region, chunk_region, chunk_valid_shape, chunks_in_region
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.io.locations import Location
from nvc_jax.transform.block_dct import BLOCK_SIZE

LEVELS = ("full", "preview")


class Reader:
    """A container and its model.

    Args:
        location: of the container.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.
        level: ``"full"``, or ``"preview"``: means of 8³ voxels.

    Attributes:
        shape, chunk: (z, y, x) voxels of the level and of its chunks.
        dtype: of the volume, and of its preview.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store is damaged or no container.
        ValueError: the mode or the level is unknown.
    """

    def __init__(self, location: Location, mode: str = "blend", level: str = "full") -> None:
        check_mode(mode)
        if level not in LEVELS:
            raise ValueError(f"`level` (={level!r}) must be one of {', '.join(LEVELS)}")
        self.store: Store = open_container(location)
        self.header, self.level = self.store.header, level
        try:
            self._decoder = PayloadDecoder(self.header)
        except FormatError as error:
            raise FormatError(f"`{location}`: {error}") from error
        header = self.header
        self.dtype = np.dtype(header.dtype)
        self.shape, self.chunk = header.shape, header.chunk
        if level == "preview":
            if any(side % BLOCK_SIZE for side in header.chunk):
                raise ValueError(
                    f"`level` (={level!r}): chunks of {header.chunk} are no multiples of {BLOCK_SIZE}"
                )
            self.shape, self.chunk = grid_shape(self.shape, BLOCK_SIZE), grid_shape(self.chunk, BLOCK_SIZE)
        config = self._decoder.codec.config
        self._blends = mode == "blend" and config.margin > 0
        # Blending a chunk takes its neighbours' latents, too.
        self._latents = functools.lru_cache(maxsize=128)(self._read_latents)

    def pieces(self, region: Region) -> Iterator[tuple[Index, Region, Region]]:
        """The chunks that a region of the level touches, where each lies in it, and what of it does."""
        return chunks_in_region(region, self.chunk)

    def decode(self, region: Region, mapping: Callable[..., Iterable[None]] = map) -> np.ndarray:
        """The voxels of ``region``: slices with bounds, within the level, and not empty.

        Chunk by chunk, or with ``parallel.map_in_order`` for ``mapping`` several at a time.
        """
        result = np.empty([part.stop - part.start for part in region], self.dtype)

        def place(piece: tuple[Index, Region, Region]) -> None:
            index, into, of = piece
            result[into] = self.decode_chunk(index)[of]

        for _ in mapping(place, self.pieces(region)):
            pass
        return result

    def decode_chunk(self, index: Index) -> np.ndarray:
        """The voxels of a chunk that lie in the level.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        if self._blends:
            return self._decode_blended(index)
        payload = self.store.read(index)
        decode = self._decoder.decode if self.level == "full" else self._decoder.decode_means
        with self.store.reading(index):
            values = decode(payload)
            expected = chunk_valid_shape(index, self.chunk, self.shape)
            if values.shape != expected:
                raise ValueError(f"it holds {values.shape} voxels; there are {expected}")
        return values

    def _decode_blended(self, index: Index) -> np.ndarray:
        """A chunk from its blocks' latents and those of the blocks around it."""
        config, header = self._decoder.codec.config, self.header
        grid = grid_shape(header.shape, config.block_size)
        room = check_shape(tuple(side // config.block_size for side in header.chunk))
        window = make_window(chunk_region(index, room, grid), room, grid, halo=1)
        region = tuple(slice(a, a + n) for a, n in zip(window.first, window.blocks, strict=True))
        blocks = np.empty((*window.blocks, config.latent_dim), np.float32)
        for neighbour, into, of in chunks_in_region(region, room):
            blocks[into] = self._latents(neighbour)[of]
        frame = self.store.read_payload(index)
        with self.store.reading(index):
            values = self._decoder.decode_latents(frame, blocks, window.chunk, "blend")
            if self.level == "preview":
                return with_specials(block_means(values), frame)
            restore_specials(values, frame.specials)
            return values

    def _read_latents(self, index: Index) -> np.ndarray:
        frame = self.store.read_payload(index)
        with self.store.reading(index):
            expected = chunk_valid_shape(index, self.header.chunk, self.header.shape)
            if frame.shape != expected:
                raise ValueError(f"it holds {frame.shape} voxels; there are {expected}")
            return self._decoder.unpack_latents(frame)
