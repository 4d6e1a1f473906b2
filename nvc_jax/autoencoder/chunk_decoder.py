"""Decoder of one chunk: a payload of latents to the voxels of the chunk."""

import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder import latent_stream
from nvc_jax.autoencoder.codec import decode_blocks
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.halo import scale_region
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.preview import block_means, show_special_blocks
from nvc_jax.chunks.special_values import restore_special_values
from nvc_jax.chunks.value_bytes import unpack_values
from nvc_jax.core.chunk_grid import Region, full_region
from nvc_jax.core.chunk_interfaces import ChunkFormat, HaloChunkDecoder
from nvc_jax.core.devices import copies_of
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.core.spatial_axes import padded_shape

DECODING_HALO = 1
"""Blocks around a chunk whose decoded margins are blended with the chunk's own."""


class LatentsChunkDecoder(HaloChunkDecoder):
    """Decodes payloads of a block autoencoder.

    Args:
        config: of a block autoencoder.
        params: of the same.
        chunk_format: properties that all chunks have in common.
        mode: ``"crop"``, or ``"blend"`` to blend margins with the blocks around a chunk.
    """

    def __init__(self, config: ModelConfig, params: Params, chunk_format: ChunkFormat, mode: str) -> None:
        self._config, self._copies, self._format = config, copies_of(params), chunk_format
        self._chunk_blocks = grid_shape(chunk_format.chunk, config.block_size)
        self._padded_shape = padded_shape(chunk_format.chunk, config.block_size)
        self._decoded_range = DecodedRange(chunk_format.dtype, chunk_format.value_range)
        self.block_size = config.block_size
        self.halo = DECODING_HALO if mode == "blend" and config.margin > 0 else 0

    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume; margins are cropped.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        parsed = parse_payload(payload, self._format.chunk)
        values = self._decode_alone(parsed)
        restore_special_values(values, parsed.special_values, self._padded_shape)
        return values

    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode a chunk and take the means of its blocks of 8³ voxels; errors as of ``decode``."""
        parsed = parse_payload(payload, self._format.chunk)
        return self._preview(self._decode_alone(parsed), parsed)

    def read_blocks(self, payload: bytes) -> tuple[Shape3, np.ndarray]:
        """Read the latents of a chunk's blocks, float32 (z, y, x, latents); errors as of ``decode``."""
        parsed = parse_payload(payload, self._format.chunk)
        return parsed.valid_shape, self._read_latents(parsed)

    def decode_in_halo(
        self, payload: bytes, blocks: np.ndarray, region: Region, *, preview: bool
    ) -> np.ndarray:
        """Decode a chunk given the latents around it, margins blended; errors as of ``decode``."""
        parsed = parse_payload(payload, self._format.chunk)
        values = self._decode_latents(parsed, blocks, region, "blend")
        if preview:
            return self._preview(values, parsed)
        restore_special_values(values, parsed.special_values, self._padded_shape)
        return values

    def _preview(self, values: np.ndarray, payload: Payload) -> np.ndarray:
        """Take the means of blocks of 8³ voxels of a chunk's decoded values."""
        return show_special_blocks(block_means(values), payload, self._padded_shape, self._decoded_range)

    def _decode_alone(self, payload: Payload) -> np.ndarray:
        blocks = self._read_latents(payload)
        return self._decode_latents(payload, blocks, full_region(blocks.shape[:3]), "crop")

    def _decode_latents(self, payload: Payload, blocks: np.ndarray, region: Region, mode: str) -> np.ndarray:
        """Decode a chunk's voxels without its special values.

        Args:
            payload: of the chunk.
            blocks: float32 (z, y, x, latents), of the chunk's blocks and those around them.
            region: the chunk's own blocks in ``blocks``.
            mode: ``"blend"`` or ``"crop"``.
        """
        block_size = self._config.block_size
        value_range = self._format.value_range
        encoded = EncodedLatents(
            latents=jnp.asarray(blocks),
            minimum=jnp.float32(value_range.low),
            maximum=jnp.float32(value_range.high),
            shape=check_shape(tuple(n * block_size for n in blocks.shape[:3])),
            dtype=str(self._format.dtype),
        )
        decoded = np.asarray(decode_blocks(self._config, self._copies.here(), encoded, mode))
        decoded = decoded[scale_region(region, block_size)]
        return self._decoded_range.enforce(
            decoded[tuple(slice(0, side) for side in payload.valid_shape)]
        ).copy()

    def _read_latents(self, payload: Payload) -> np.ndarray:
        """Read the latents of a chunk's blocks that lie in the volume: float32 (z, y, x, latents)."""
        latent_dim, step = self._config.latent_dim, self._format.step
        if payload.kind != PayloadKind.LATENTS:
            raise ValueError(f"a payload of latents is of kind {PayloadKind(payload.kind).name.lower()}")
        grid = grid_shape(payload.valid_shape, self._config.block_size)
        if step is None:
            return unpack_values(payload.body, (*grid, latent_dim), np.dtype(np.float32))
        stream = latent_stream.from_bytes(payload.body, self._chunk_blocks, latent_dim, step)
        latents = latent_stream.decode_latents(stream, grid=self._chunk_blocks)
        return np.asarray(latents)[tuple(slice(0, n) for n in grid)]
