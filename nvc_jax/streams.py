"""Volumes as streams, chunk by chunk: one compiled shape, whatever the volume's sides."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from nvc_jax import latents, spectral
from nvc_jax.blocks import Shape3, check_shape
from nvc_jax.codec import Codec, decode_volume, encode_volume
from nvc_jax.latents import Encoded
from nvc_jax.metrics import psnr_db

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


def chunk_extent(index: tuple[int, ...], chunk: Shape3, shape: Shape3) -> Shape3:
    """How many voxels along z, y, x of a chunk lie in a volume of ``shape``."""
    return check_shape(tuple(min(n, s - i * n) for i, n, s in zip(index, chunk, shape, strict=True)))


def _filled_chunks(array: np.ndarray, chunk: Shape3) -> Iterator[np.ndarray]:
    """Chunks of an array's first three axes; those at the far faces are filled up with what lies last."""
    for _, place, _ in touched_chunks(tuple(slice(0, side) for side in array.shape[:3]), chunk):
        part = array[place]
        missing = [(0, n - side) for n, side in zip(chunk, part.shape[:3], strict=True)]
        yield np.pad(part, missing + [(0, 0)] * (array.ndim - 3), mode="edge")


def find_step(psnr_of: Callable[[float], float], psnr: float, steps: tuple[float, float]) -> float:
    """The largest step found within ``steps`` that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
    low, high = map(math.log, steps)  # logarithms of steps that reach it, and that do not
    guess = math.log(math.sqrt(12) * 10 ** (-psnr / 20))
    for _ in range(14):
        guess = min(max(guess, low + 0.02 * (high - low)), high - 0.02 * (high - low))
        excess = psnr_of(math.exp(guess)) - psnr
        if abs(excess) < 0.05:
            return math.exp(guess)
        low, high = (guess, high) if excess > 0 else (low, guess)
        # 6 dB for each halving of the step, near enough to converge in a few rounds.
        guess += min(max(excess, -20.0), 20.0) * math.log(10) / 20
    return math.exp(low)


class ChunkedVolume:
    """A volume cut into chunks of one shape, so that one program encodes them all."""

    def __init__(
        self, codec: Codec, volume: np.ndarray, minimum: float, maximum: float, chunk: Shape3
    ) -> None:
        self._codec, self._volume, self._range, self._chunk = codec, volume, (minimum, maximum), chunk

    def _places(self) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
        """Every chunk's index, where it lies in the volume, and how much of it is the volume."""
        return touched_chunks(tuple(slice(0, side) for side in self._volume.shape), self._chunk)

    def encode(self, step: float) -> list[bytes]:
        """The payload of every chunk."""
        chunks = _filled_chunks(self._volume, self._chunk)
        numbers = [jnp.float32(value) for value in (*self._range, step)]
        payloads = []
        for chunk, (index, _, _) in zip(chunks, self._places(), strict=True):
            extent = jnp.array(chunk_extent(index, self._chunk, self._volume.shape), jnp.int32)
            encoded = spectral.encode(self._codec.params, jnp.asarray(chunk), *numbers, extent)
            payloads.append(spectral.to_bytes(encoded))
        return payloads

    def decode(self, payloads: list[bytes], step: float) -> np.ndarray:
        """The volume from the payloads of ``encode``."""
        result = np.empty_like(self._volume)
        numbers = (*self._range, step)
        for payload, (index, into, of) in zip(payloads, self._places(), strict=True):
            extent = chunk_extent(index, self._chunk, self._volume.shape)
            encoded = spectral.from_bytes(
                payload, self._chunk, str(self._volume.dtype), *numbers, extent=extent
            )
            result[into] = np.asarray(spectral.decode(self._codec.params, encoded))[of]
        return result

    def _psnr(self, step: float) -> float:
        """PSNR of the volume encoded with ``step`` and decoded, in dB."""
        return psnr_db(self._volume, self.decode(self.encode(step), step))

    def step_for(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        return find_step(self._psnr, psnr, (spectral.MIN_STEP, 1.0))


class ChunkedLatents:
    """The latents of a whole volume, cut into chunks: margins reach across the chunks' borders.

    Args:
        codec: of a block autoencoder.
        volume: (z, y, x).
        blocks: (z, y, x) blocks to a chunk.
    """

    def __init__(self, codec: Codec, volume: np.ndarray, blocks: Shape3) -> None:
        encoded = encode_volume(codec, volume)
        assert isinstance(encoded, Encoded)
        self._codec, self._volume, self._encoded, self._blocks = codec, volume, encoded, blocks

    def encode(self, step: float) -> list[bytes]:
        """The payload of every chunk."""
        chunks = _filled_chunks(np.asarray(self._encoded.latents), self._blocks)
        streams = (latents.encode_latents(jnp.asarray(chunk), jnp.float32(step)) for chunk in chunks)
        return [latents.to_bytes(stream) for stream in streams]

    def _psnr(self, step: float | None) -> float:
        """PSNR in dB of the volume decoded from its latents, rounded to multiples of ``step``."""
        encoded = self._encoded
        if step is not None:
            rounded = jnp.rint(encoded.latents / jnp.float32(step)) * jnp.float32(step)
            encoded = dataclasses.replace(encoded, latents=rounded)
        return psnr_db(self._volume, np.asarray(decode_volume(self._codec, encoded)))

    def step_for(self, psnr: float) -> float:
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
        return find_step(self._psnr, min(psnr, best - 0.04), latents.STEPS)
