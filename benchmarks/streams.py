"""Streams of a volume by a spectral model, without a container around them."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from nvc_jax.chunks.rate_control import find_step
from nvc_jax.core.chunk_grid import (
    Region,
    chunk_region,
    chunk_valid_shape,
    chunks_in_region,
    inner_boundaries,
)
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.models.codec import Codec
from nvc_jax.spectral import decoder, encoded_stream, encoder
from nvc_jax.spectral.profiles import count_profiles


def _filled_chunks(array: np.ndarray, chunk: Shape3) -> Iterator[np.ndarray]:
    """Cut an array's first three axes into chunks; partial ones are padded with their last values."""
    for _, region, _ in chunks_in_region(tuple(slice(0, side) for side in array.shape[:3]), chunk):
        part = array[region]
        padding = [(0, n - side) for n, side in zip(chunk, part.shape[:3], strict=True)]
        yield np.pad(part, padding + [(0, 0)] * (array.ndim - 3), mode="edge")


class Streams:
    """A volume cut into chunks of one shape, so that one program encodes them all, several at a time."""

    def __init__(
        self,
        codec: Codec,
        volume: np.ndarray,
        minimum: float,
        maximum: float,
        chunk: Shape3,
        *,
        emphasis: bool = True,
    ) -> None:
        self._codec, self._volume, self._range, self._chunk = codec, volume, (minimum, maximum), chunk
        self._emphasis = emphasis

    def _chunks(self) -> Iterator[tuple[tuple[int, ...], Region, Region]]:
        """Iterate over the chunks; see ``chunks_in_region``."""
        return chunks_in_region(tuple(slice(0, side) for side in self._volume.shape), self._chunk)

    def _boundaries(self, index: tuple[int, ...]) -> int:
        shape = self._volume.shape
        return inner_boundaries(chunk_region(index, self._chunk, shape), shape) if self._emphasis else 0

    def encode(self, step: float) -> list[bytes]:
        """Encode every chunk into the bytes of its stream."""
        numbers = [jnp.float32(value) for value in (*self._range, step)]

        def encode_chunk(job: tuple[np.ndarray, tuple]) -> bytes:
            chunk, (index, _, _) = job
            valid_shape = jnp.array(chunk_valid_shape(index, self._chunk, self._volume.shape), jnp.int32)
            boundaries = jnp.int32(self._boundaries(index))
            encoded = encoder.encode(
                self._codec.params, jnp.asarray(chunk), *numbers, valid_shape, boundaries
            )
            return encoded_stream.to_bytes(encoded)

        chunks = _filled_chunks(self._volume, self._chunk)
        return list(map_in_order(encode_chunk, zip(chunks, self._chunks(), strict=True)))

    def decode(self, payloads: list[bytes], step: float) -> np.ndarray:
        """Decode the volume from the streams of ``encode``."""
        result = np.empty_like(self._volume)
        numbers = (*self._range, step)

        def decode_chunk(job: tuple[bytes, tuple]) -> None:
            payload, (index, in_volume, in_chunk) = job
            valid_shape = check_shape(chunk_valid_shape(index, self._chunk, self._volume.shape))
            encoded = encoded_stream.from_bytes(
                payload,
                self._chunk,
                str(self._volume.dtype),
                *numbers,
                valid_shape=valid_shape,
                n_profiles=count_profiles(self._codec.params["entropy"]),
                has_filter="filter" in self._codec.params,
            )
            result[in_volume] = np.asarray(decoder.decode(self._codec.params, encoded))[in_chunk]

        for _ in map_in_order(decode_chunk, zip(payloads, self._chunks(), strict=True)):
            pass
        return result

    def _psnr(self, step: float) -> float:
        """PSNR of the volume encoded with ``step`` and decoded, in dB."""
        return psnr_db(self._volume, self.decode(self.encode(step), step))

    def step_for(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        step, _ = find_step(self._psnr, psnr, (encoded_stream.MIN_STEP, encoded_stream.MAX_STEP))
        return step
