"""An open container, decoded chunk by chunk, only as far as it is asked for."""

import functools
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nvc_jax import latents
from nvc_jax.blocks import Shape3, check_mode, check_shape, grid_shape
from nvc_jax.chunks import LATENTS, ChunkCodec, Frame, unpack_values
from nvc_jax.codec import check_step, decode_volume
from nvc_jax.container import FormatError, Store, load_model, open_container
from nvc_jax.latents import Encoded
from nvc_jax.models import SpectralConfig
from nvc_jax.specials import restore_specials
from nvc_jax.streams import Slices, chunk_extent, touched_chunks

Index = tuple[int, ...]


class Reader:
    """A container and its model.

    Args:
        path: directory of the container.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store is damaged or no container.
        ValueError: the mode is unknown.
    """

    def __init__(self, path: Path | str, mode: str = "blend") -> None:
        check_mode(mode)
        self.store: Store = open_container(Path(path))
        self.header = self.store.header
        self._codec = load_model(self.store)
        self._mode = mode
        config = self._codec.config
        if any(side % config.block_size for side in self.header.chunk):
            raise FormatError(f"`{path}`: its chunks {self.header.chunk} are no multiples of its blocks")
        self._is_spectral = isinstance(config, SpectralConfig)
        if not self._is_spectral:
            try:
                check_step(config, self.header.step)
            except ValueError as error:
                raise FormatError(f"`{path}` holds what its model does not decode: {error}") from error
        self._chunk_codec = ChunkCodec(self._codec, self.header.chunk, np.dtype(self.header.dtype))
        # Blending a chunk takes its neighbours' latents, too.
        self._latents = functools.lru_cache(maxsize=128)(self._read_latents)

    def decode(self, region: Slices) -> np.ndarray:
        """The voxels of ``region``: slices with bounds, within the volume, and not empty."""
        result = np.empty([part.stop - part.start for part in region], self.header.dtype)
        for index, into, of in touched_chunks(region, self.header.chunk):
            result[into] = self.decode_chunk(index)[of]
        return result

    def extent(self, index: Index) -> Shape3:
        """Voxels of a chunk that lie in the volume."""
        return chunk_extent(index, self.header.chunk, self.header.shape)

    def decode_chunk(self, index: Index) -> np.ndarray:
        """The voxels of a chunk that lie in the volume.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        if not self._is_spectral:
            return self._decode_latents(index)
        payload = self.store.read(index)
        with self.store.reading(index):
            values = self._chunk_codec.decode(payload)
            if values.shape != self.extent(index):
                raise ValueError(f"it holds {values.shape} voxels; there are {self.extent(index)}")
        return values

    def _decode_latents(self, index: Index) -> np.ndarray:
        """A chunk from its blocks' latents, and those of the blocks around it where margins are blended."""
        header, b = self.header, self._codec.config.block_size
        halo = 1 if self._mode == "blend" and self._codec.config.margin else 0
        grid = grid_shape(header.shape, b)
        per_chunk = tuple(side // b for side in header.chunk)
        first = [max(i * n - halo, 0) for i, n in zip(index, per_chunk, strict=True)]
        last = [min((i + 1) * n + halo, most) for i, n, most in zip(index, per_chunk, grid, strict=True)]
        region = tuple(slice(a, n) for a, n in zip(first, last, strict=True))
        blocks = np.empty([*(n - a for a, n in zip(first, last, strict=True)), self._codec.config.latent_dim])
        for neighbour, into, of in touched_chunks(region, check_shape(per_chunk)):
            blocks[into] = self._latents(neighbour)[of]
        z, y, x = (min(n * b, side) - a * b for a, n, side in zip(first, last, header.shape, strict=True))
        encoded = Encoded(
            latents=jnp.asarray(blocks, jnp.float32),
            minimum=jnp.float32(header.minimum),
            maximum=jnp.float32(header.maximum),
            shape=(z, y, x),
            dtype=header.dtype,
        )
        decoded = np.asarray(decode_volume(self._codec, encoded, mode=self._mode))
        starts = [i * n - a * b for i, n, a in zip(index, header.chunk, first, strict=True)]
        part = tuple(slice(a, a + side) for a, side in zip(starts, self.extent(index), strict=True))
        values = decoded[part].copy()
        frame = self.store.read_frame(index)
        with self.store.reading(index):
            restore_specials(values, frame.specials)
        return values

    def _read_latents(self, index: Index) -> np.ndarray:
        frame = self.store.read_frame(index)
        with self.store.reading(index):
            return self._unpack_latents(frame, index)

    def _unpack_latents(self, frame: Frame, index: Index) -> np.ndarray:
        """Latents of a chunk's blocks that lie in the volume, float32 (z, y, x, latents)."""
        config, step = self._codec.config, self.header.step
        if frame.kind != LATENTS or frame.shape != self.extent(index):
            raise ValueError(f"it is of kind {frame.kind} and shape {frame.shape}")
        grid = grid_shape(frame.shape, config.block_size)
        if step is None:
            return unpack_values(frame.body, (*grid, config.latent_dim), np.dtype(np.float32))
        room = check_shape(tuple(side // config.block_size for side in self.header.chunk))
        stream = latents.from_bytes(frame.body, room, config.latent_dim, step)
        return np.asarray(latents.decode_latents(stream, grid=room))[tuple(slice(0, n) for n in grid)]

    def indices(self) -> list[Index]:
        """The indices of all chunks, in z, y, x order."""
        grid = self.header.chunk_grid
        return [tuple(map(int, np.unravel_index(i, grid))) for i in range(math.prod(grid))]
