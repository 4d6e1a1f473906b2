"""Encoder of the chunks of a volume larger than memory, by a block autoencoder.

The margin of a block, and the blending of margins, reach into the neighbouring blocks. So a chunk is encoded
together with a halo, the blocks around it.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder import latent_stream
from nvc_jax.autoencoder.codec import decode_blocks, encode_region
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.latent_stream import STEP_LIMITS
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.exact_values import required_patterns, without_exact_values
from nvc_jax.chunks.halo import Window, make_window, scale_region
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.rate_control import find_step
from nvc_jax.chunks.special_values import encode_special_values
from nvc_jax.chunks.value_bytes import pack_values
from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget, QualityTarget, ValueRange
from nvc_jax.core.concurrency import map_on_devices
from nvc_jax.core.devices import copies_of
from nvc_jax.core.errors import largest_error, psnr_from_errors, squared_errors
from nvc_jax.core.filling import fill_blocks
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape, check_shape, grid_shape
from nvc_jax.core.spatial_axes import padded_shape, spatial_region, spatial_shape, spatial_volume
from nvc_jax.io.lazy import read_region

ENCODING_HALO = 2
"""Blocks around a chunk that its encoding takes: the chunk is blended with the blocks next to it, and those
are right only where the blocks next to them are there, too."""
_CEILING_SLACK_DB = 0.04
"""Distance from the model's best PSNR that a search for a step keeps, within what is tolerated: so the step
need not be the smallest."""


class LatentsChunkEncoder(ChunkEncoder):
    """Encodes the chunks of a volume into their blocks' latents.

    Args:
        config: of a block autoencoder.
        params: of the same.
        volume: of a device dtype, read region by region when it is needed.
        chunk: voxels of a whole chunk along each axis of the volume: multiples of the block size, or 1.
        value_range: of the volume.
    """

    def __init__(
        self,
        config: ModelConfig,
        params: Params,
        volume: ts.TensorStore,
        chunk: Shape,
        value_range: ValueRange,
    ) -> None:
        self._config, self._copies = config, copies_of(params)
        self._volume, self._chunk, self._value_range = volume, chunk, value_range
        self._whole_shape = spatial_shape(chunk, chunk)
        self._padded_shape = padded_shape(self._whole_shape, config.block_size)
        self._chunk_blocks = grid_shape(self._whole_shape, config.block_size)
        self._decoded_range = DecodedRange(volume.dtype.numpy_dtype, value_range)

    def resolve(self, target: QualityTarget, sample: Sequence[Region] | None = None) -> ChunkTarget:
        """Turn a quality target into a step in the unit of the latents; see ``ChunkEncoder``.

        Raises:
            ValueError: a PSNR that float32 latents do not reach.
        """
        ((name, value),) = target.items()
        if name == "psnr":
            return ChunkTarget(None, self._step_for_psnr(value, sample))
        return ChunkTarget(None, value if name == "step" else None)

    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        """Encode the chunk at ``region``: float32 latents, or with a step their stream."""
        window, encoded = self._encode_window(region)
        latents = np.asarray(encoded.latents)[window.chunk]
        original = self._read(region)
        examined = self._examine(original)
        patterns = required_patterns(examined, self._value_range.exact_values)
        decoded = self._decode(window, encoded, target.step, original.shape)
        in_body = without_exact_values(examined, patterns).valid
        return Payload(
            kind=PayloadKind.LATENTS,
            valid_shape=check_shape(original.shape),
            max_error=largest_error(original, decoded, in_body),
            body=pack_values(latents) if target.step is None else self._to_stream(latents, target.step),
            special_values=encode_special_values(original, examined.valid, self._padded_shape, patterns),
        ).to_bytes(self._whole_shape)

    def _read(self, region: Region) -> np.ndarray:
        """Read a chunk: (z, y, x), of its spatial shape."""
        values = read_region(self._volume, region)
        return values.reshape(spatial_shape(values.shape, self._chunk))

    def _examine(self, values: np.ndarray) -> ChunkValues:
        """Find the valid values of a part of the volume."""
        return ChunkValues.examine(values, self._value_range.missing_values, self._value_range.valid_limits)

    def _to_stream(self, latents: np.ndarray, step: float) -> bytes:
        """Quantise and code the latents of a chunk, padded to a whole one."""
        padding = [(0, n - side) for side, n in zip(latents.shape[:3], self._chunk_blocks, strict=True)]
        padded = np.pad(latents, [*padding, (0, 0)], mode="edge")
        return latent_stream.to_bytes(latent_stream.encode_latents(jnp.asarray(padded), jnp.float32(step)))

    def _encode_window(self, region: Region) -> tuple[Window, EncodedLatents]:
        """Encode a chunk's blocks and those of its halo."""
        b = self._config.block_size
        volume = spatial_volume(self._volume, region, self._chunk)
        grid = grid_shape(check_shape(volume.shape), b)
        own_region = spatial_region(region, self._chunk)
        chunk = tuple(slice(part.start // b, -(-part.stop // b)) for part in own_region)
        halo = ENCODING_HALO if self._config.margin else 0
        window = make_window(chunk, self._chunk_blocks, grid, halo)
        voxels = tuple(
            slice(part.start, min(part.stop, side))
            for part, side in zip(scale_region(window.region, b), volume.shape, strict=True)
        )
        values = read_region(volume, voxels)
        low, high = self._value_range.low, self._value_range.high
        values = fill_blocks(values, self._examine(values).valid, b, low)
        padding = [(0, n * b - side) for n, side in zip(window.shape, values.shape, strict=True)]
        values = np.pad(values, padding, constant_values=np.asarray(low, values.dtype))
        limits = (jnp.float32(low), jnp.float32(high))
        return window, encode_region(self._config, self._copies.here(), jnp.asarray(values), *limits)

    def _decode(
        self, window: Window, encoded: EncodedLatents, step: float | None, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Decode the chunk's voxels from a window's latents, which a step rounds."""
        if step is not None:
            rounded = jnp.rint(encoded.latents / jnp.float32(step)) * jnp.float32(step)
            encoded = dataclasses.replace(encoded, latents=rounded)
        mode = "blend" if self._config.margin else "crop"
        decoded = np.asarray(decode_blocks(self._config, self._copies.here(), encoded, mode))
        decoded = decoded[scale_region(window.chunk, self._config.block_size)]
        return self._decoded_range.enforce(decoded[tuple(slice(0, side) for side in shape)])

    def _psnr(self, regions: Sequence[Region], step: float | None) -> float:
        """PSNR of chunks with a step, margins blended."""

        def chunk_errors(region: Region) -> tuple[float, int]:
            original = self._read(region)
            valid = self._examine(original).valid
            decoded = self._decode(*self._encode_window(region), step, original.shape)
            return squared_errors(original, decoded, valid)

        return psnr_from_errors(self._value_range.width, map_on_devices(chunk_errors, regions))

    def _step_for_psnr(self, psnr: float, sample: Sequence[Region] | None) -> float:
        """Largest step found that reaches ``psnr`` within 0.1 dB, or else exceeds it."""
        regions = chunk_regions(self._volume.shape, self._chunk) if sample is None else sample
        best = self._psnr(regions, None)
        if psnr > best:
            raise ValueError(
                f"`psnr` (={psnr}) is beyond this model: on this volume it reaches {best:.2f} dB at best"
            )
        return find_step(
            functools.cache(functools.partial(self._psnr, regions)),
            min(psnr, best - _CEILING_SLACK_DB),
            STEP_LIMITS,
        ).step
