"""Payloads of either kind of model to voxels, each by itself: what a codec of Zarr chunks can do."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder import latent_stream
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.chunks.halo import scaled
from nvc_jax.chunks.payload import LATENTS, Payload, parse_payload, unpack_values
from nvc_jax.chunks.preview import block_means, with_specials
from nvc_jax.chunks.special_values import restore_specials
from nvc_jax.chunks.spectral_chunk import ChunkCodec
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.model import load_model
from nvc_jax.core.chunk_grid import Region, full_region
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.models.codec import check_step, decode_volume
from nvc_jax.spectral.config import SpectralConfig


class PayloadDecoder:
    """Decodes payloads of a container without the chunks around them.

    Args:
        header: of the container.

    Raises:
        FileNotFoundError: the model neither ships with this version nor is embedded.
        FormatError: the header contradicts the model, or the embedded model is damaged.
    """

    def __init__(self, header: ContainerMetadata) -> None:
        self.header, self.codec = header, load_model(header)
        config = self.codec.config
        if any(side % config.block_size for side in header.chunk):
            raise FormatError(f"its chunks {header.chunk} are no multiples of its model's blocks")
        self._is_spectral = isinstance(config, SpectralConfig)
        if not self._is_spectral:
            try:
                check_step(config, header.step)
            except ValueError as error:
                raise FormatError(f"it holds what its model does not decode: {error}") from error
        self._chunks = ChunkCodec(self.codec, header.chunk, np.dtype(header.dtype))

    def decode(self, payload: bytes) -> np.ndarray:
        """A chunk's voxels that lie in the volume; margins are cropped.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        if self._is_spectral:
            return self._chunks.decode(payload)
        frame = parse_payload(payload)
        values = self._decode_alone(frame)
        restore_specials(values, frame.specials)
        return values

    def _decode_alone(self, frame: Payload) -> np.ndarray:
        blocks = self.unpack_latents(frame)
        return self.decode_latents(frame, blocks, full_region(blocks.shape[:3]), "crop")

    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """The voxels of several chunks; on an accelerator in few calls. Errors as of ``decode``."""
        if self._is_spectral and jax.default_backend() != "cpu":
            return self._chunks.decode_many(payloads)
        return list(map_in_order(self.decode, payloads))

    def decode_means(self, payload: bytes) -> np.ndarray:
        """The means of a chunk's blocks of 8³ voxels, about; errors as of ``decode``."""
        if self._is_spectral:
            return self._chunks.decode_means(payload)
        frame = parse_payload(payload)
        return with_specials(block_means(self._decode_alone(frame)), frame)

    def decode_latents(self, frame: Payload, blocks: np.ndarray, place: Region, mode: str) -> np.ndarray:
        """A chunk's voxels, without what is special.

        Args:
            frame: its payload.
            blocks: float32 (z, y, x, latents), of its blocks and some around them.
            place: where in ``blocks`` its own lie.
            mode: ``"blend"`` or ``"crop"``.
        """
        block_size = self.codec.config.block_size
        encoded = EncodedLatents(
            latents=jnp.asarray(blocks),
            minimum=jnp.float32(self.header.minimum),
            maximum=jnp.float32(self.header.maximum),
            shape=check_shape(tuple(n * block_size for n in blocks.shape[:3])),
            dtype=self.header.dtype,
        )
        decoded = np.asarray(decode_volume(self.codec, encoded, mode=mode))[scaled(place, block_size)]
        return decoded[tuple(slice(0, side) for side in frame.shape)].copy()

    def unpack_latents(self, frame: Payload) -> np.ndarray:
        """Latents of a chunk's blocks that lie in the volume, float32 (z, y, x, latents).

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        config, step = self.codec.config, self.header.step
        room = self.header.chunk
        if frame.kind != LATENTS or frame.dtype != self.header.dtype:
            raise ValueError(f"it is of kind {frame.kind} and of {frame.dtype}")
        if not all(1 <= side <= most for side, most in zip(frame.shape, room, strict=True)):
            raise ValueError(f"it holds {frame.shape} voxels; a chunk has {room}")
        grid = grid_shape(frame.shape, config.block_size)
        if step is None:
            return unpack_values(frame.body, (*grid, config.latent_dim), np.dtype(np.float32))
        blocks = check_shape(tuple(side // config.block_size for side in room))
        stream = latent_stream.from_bytes(frame.body, blocks, config.latent_dim, step)
        return np.asarray(latent_stream.decode_latents(stream, grid=blocks))[tuple(slice(0, n) for n in grid)]
