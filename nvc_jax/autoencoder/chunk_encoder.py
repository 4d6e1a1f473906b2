"""Chunks of a volume, encoded by a block autoencoder."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder import latent_stream
from nvc_jax.autoencoder.codec import encode_region
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.chunks.halo import Window, make_window, scaled
from nvc_jax.chunks.payload import LATENTS, Payload, pack_values
from nvc_jax.chunks.rate_control import find_step, psnr_of_sums, squared_errors
from nvc_jax.chunks.special_values import encode_specials, fill_blocks, valid_mask
from nvc_jax.chunks.spectral_chunk import largest_error
from nvc_jax.chunks.value_range import ValueRange
from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.io.lazy import read_part
from nvc_jax.models.codec import Codec, decode_volume


class ChunkedLatents:
    """A volume cut into chunks, whose blocks' latents a block autoencoder gives.

    Args:
        codec: of a block autoencoder.
        volume: (z, y, x), a narrow dtype; what of it is needed is read when it is needed.
        chunk: (z, y, x) voxels to a chunk, multiples of the model's block size.
        found: its range, and its values that are no measurements.
    """

    def __init__(self, codec: Codec, volume: ts.TensorStore, chunk: Shape3, found: ValueRange) -> None:
        self._codec, self._volume, self._found, self._chunk = codec, volume, found, chunk
        self._block_size = codec.config.block_size
        self._room = check_shape(tuple(side // self._block_size for side in chunk))

    def encode(self, place: Region, step: float | None) -> bytes:
        """The payload of the chunk at ``place``: float32 latents, or with a step their stream."""
        window, encoded = self._encode_window(place)
        values = np.asarray(encoded.latents)[window.chunk]
        if step is None:
            body = pack_values(values)
        else:
            missing = [(0, most - side) for side, most in zip(values.shape[:3], self._room, strict=True)]
            filled = np.pad(values, [*missing, (0, 0)], mode="edge")
            body = latent_stream.to_bytes(
                latent_stream.encode_latents(jnp.asarray(filled), jnp.float32(step))
            )
        original = read_part(self._volume, place)
        valid = valid_mask(original, self._found.missing_values)
        decoded = self._decode(window, encoded, step, original.shape)
        return Payload(
            kind=LATENTS,
            shape=check_shape(original.shape),
            dtype=original.dtype,
            max_error=largest_error(original, decoded, valid),
            body=body,
            specials=encode_specials(original, valid),
            correction=b"",
        ).to_bytes()

    def _encode_window(self, place: Region) -> tuple[Window, EncodedLatents]:
        b = self._block_size
        grid = grid_shape(check_shape(self._volume.shape), b)
        chunk = tuple(slice(part.start // b, -(-part.stop // b)) for part in place)
        # The blocks around the chunk's must be right where they are blended with them: so must be theirs.
        window = make_window(chunk, self._room, grid, 2 if self._codec.config.margin else 0)
        region = tuple(
            slice(a * b, min((a + n) * b, side))
            for a, n, side in zip(window.first, window.blocks, self._volume.shape, strict=True)
        )
        values = read_part(self._volume, region)
        low, high = self._found.low, self._found.high
        values = fill_blocks(values, valid_mask(values, self._found.missing_values), b, low)
        missing = [(0, n * b - side) for n, side in zip(window.blocks, values.shape, strict=True)]
        values = np.pad(values, missing, constant_values=np.asarray(low, values.dtype))
        return window, encode_region(self._codec, jnp.asarray(values), jnp.float32(low), jnp.float32(high))

    def _decode(
        self, window: Window, encoded: EncodedLatents, step: float | None, shape: tuple[int, ...]
    ) -> np.ndarray:
        """The chunk's voxels from a window's latents, rounded to multiples of ``step``."""
        if step is not None:
            rounded = jnp.rint(encoded.latents / jnp.float32(step)) * jnp.float32(step)
            encoded = dataclasses.replace(encoded, latents=rounded)
        decoded = np.asarray(decode_volume(self._codec, encoded))[scaled(window.chunk, self._block_size)]
        return decoded[tuple(slice(0, side) for side in shape)]

    def _psnr(self, step: float | None) -> float:
        def errors(place: Region) -> tuple[float, int]:
            original = read_part(self._volume, place)
            valid = valid_mask(original, self._found.missing_values)
            decoded = self._decode(*self._encode_window(place), step, original.shape)
            return squared_errors(original[valid], decoded[valid])

        places = chunk_regions(self._volume.shape, self._chunk)
        return psnr_of_sums(self._found.high - self._found.low, map_in_order(errors, places))

    def step_for_psnr(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.1 dB, or else exceeds it.

        Raises:
            ValueError: latents that are not rounded do not reach it either.
        """
        best = self._psnr(None)
        if psnr > best:
            raise ValueError(
                f"`psnr` (={psnr}) is beyond this model: on this volume it reaches {best:.2f} dB at best"
            )
        # Short of the best by what is tolerated: the step need not be the smallest.
        return find_step(functools.cache(self._psnr), min(psnr, best - 0.04), latent_stream.STEPS)
