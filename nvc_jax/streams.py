"""Volumes chunk by chunk through the spectral codec: one compiled shape, whatever the volume's sides."""

import itertools
import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from nvc_jax import spectral
from nvc_jax.blocks import Shape3
from nvc_jax.codec import Codec
from nvc_jax.metrics import psnr_db
from nvc_jax.spectral import EncodedStream

Slices = tuple[slice, ...]


def touched_chunks(region: Slices, chunk: Shape3) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """Index of every chunk that a region touches, where it lies in the region, and what of it does."""
    touched = (range(part.start // n, -(-part.stop // n)) for part, n in zip(region, chunk, strict=True))
    for index in itertools.product(*touched):
        into, of = [], []
        for part, i, n in zip(region, index, chunk, strict=True):
            start, stop = max(part.start, i * n), min(part.stop, (i + 1) * n)
            into.append(slice(start - part.start, stop - part.start))
            of.append(slice(start - i * n, stop - i * n))
        yield index, tuple(into), tuple(of)


class ChunkedVolume:
    """A volume cut into chunks of one shape, so that one program encodes them all."""

    def __init__(
        self, codec: Codec, volume: np.ndarray, minimum: float, maximum: float, chunk: Shape3
    ) -> None:
        self._codec, self._volume, self._range, self._chunk = codec, volume, (minimum, maximum), chunk

    def _places(self) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
        """Every chunk's index, where it lies in the volume, and how much of it is the volume."""
        return touched_chunks(tuple(slice(0, side) for side in self._volume.shape), self._chunk)

    def _filled_chunks(self) -> Iterator[np.ndarray]:
        """The chunks, those at the far faces filled up with their last voxels to the full shape."""
        for _, place, _ in self._places():
            chunk = self._volume[place]
            missing = [(0, n - side) for n, side in zip(self._chunk, chunk.shape, strict=True)]
            yield np.pad(chunk, missing, mode="edge")

    def _encode_chunk(self, chunk: np.ndarray, step: float) -> EncodedStream:
        numbers = (jnp.float32(value) for value in (*self._range, step))
        return spectral.encode(self._codec.params, jnp.asarray(chunk), *numbers)

    def encode(self, step: float) -> list[bytes]:
        """The payload of every chunk."""
        return [spectral.to_bytes(self._encode_chunk(chunk, step)) for chunk in self._filled_chunks()]

    def decode(self, payloads: list[bytes], step: float) -> np.ndarray:
        """The volume from the payloads of ``encode``."""
        result = np.empty_like(self._volume)
        for payload, (_, into, of) in zip(payloads, self._places(), strict=True):
            encoded = spectral.from_bytes(payload, self._chunk, str(self._volume.dtype), *self._range, step)
            result[into] = np.asarray(spectral.decode(self._codec.params, encoded))[of]
        return result

    def _psnr(self, step: float) -> float:
        """PSNR of the volume encoded with ``step`` and decoded, in dB."""
        return psnr_db(self._volume, self.decode(self.encode(step), step))

    def step_for(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        low, high = math.log(spectral.MIN_STEP), 0.0  # logarithms of steps that reach it, and that do not
        guess = math.log(math.sqrt(12) * 10 ** (-psnr / 20))
        for _ in range(14):
            guess = min(max(guess, low + 0.02 * (high - low)), high - 0.02 * (high - low))
            excess = self._psnr(math.exp(guess)) - psnr
            if abs(excess) < 0.05:
                return math.exp(guess)
            low, high = (guess, high) if excess > 0 else (low, guess)
            # 6 dB for each halving of the step, near enough to converge in a few rounds.
            guess += min(max(excess, -20.0), 20.0) * math.log(10) / 20
        return math.exp(low)
