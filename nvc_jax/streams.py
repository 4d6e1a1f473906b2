"""Volumes as payloads, chunk by chunk: one compiled shape, whatever the volume's sides."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from nvc_jax import latents, spectral
from nvc_jax.blocks import Shape3, check_shape
from nvc_jax.chunks import LATENTS, ChunkCodec, Frame, Target, pack_values
from nvc_jax.codec import Codec, decode_volume, encode_volume
from nvc_jax.latents import Encoded
from nvc_jax.metrics import psnr_db
from nvc_jax.specials import encode_specials, fill_smoothly, is_ordinary

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


_RATIOS = (0.7, 1.0, 1.4, 2.0)
"""Steps over the bound that are tried first."""


class ChunkedVolume:
    """A volume cut into chunks of one shape, which a spectral model's programs encode one by one.

    Args:
        codec: of a spectral model.
        volume: (z, y, x), a supported dtype.
        chunk: (z, y, x) voxels to a chunk.
        fill_values: values that are no measurements.
        low, high: the range of the others.
    """

    def __init__(
        self,
        codec: Codec,
        volume: np.ndarray,
        chunk: Shape3,
        fill_values: tuple[float, ...],
        low: float,
        high: float,
    ) -> None:
        self._chunk_codec = ChunkCodec(codec, chunk, volume.dtype)
        self._volume, self._chunk, self._fill_values = volume, chunk, fill_values
        self._low, self._high = low, high

    def _places(self) -> Iterator[Slices]:
        whole = tuple(slice(0, side) for side in self._volume.shape)
        return (place for _, place, _ in touched_chunks(whole, self._chunk))

    def encode(self, place: Slices, target: Target) -> bytes:
        """The payload of the chunk that lies at ``place`` in the volume."""
        return self._chunk_codec.encode(self._volume[place], target, self._fill_values)

    def _psnr(self, step: float) -> float:
        """PSNR of the volume encoded with ``step``, in dB; of what is no fill value."""
        total, count = 0.0, 0
        for place in self._places():
            original = self._volume[place]
            ordinary = is_ordinary(original, self._fill_values)
            decoded = self._chunk_codec.decode(self.encode(place, Target(None, step)))
            errors = decoded[ordinary].astype(np.float64) - original[ordinary].astype(np.float64)
            total += float(np.sum(errors * errors))
            count += errors.size
        if total == 0:
            return math.inf
        return 20 * math.log10(self._high - self._low) - 10 * math.log10(total / count)

    def step_for_psnr(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        extent = self._high - self._low
        if extent == 0:
            return 1.0
        steps = (spectral.MIN_STEP, 1.0)
        return extent * find_step(lambda step: self._psnr(step * extent), psnr, steps)

    def step_for_bound(self, max_error: float) -> float:
        """The step that takes the fewest bytes under a bound, as far as a chunk in the middle tells."""
        places = list(self._places())
        place = places[len(places) // 2]
        sizes: dict[float, int] = {}

        def size(ratio: float) -> int:
            if ratio not in sizes:
                sizes[ratio] = len(self.encode(place, Target(max_error, ratio * max_error)))
            return sizes[ratio]

        best = min(_RATIOS, key=size)
        best = min((best / 2**0.25, best, best * 2**0.25), key=size)
        return best * max_error


class ChunkedLatents:
    """The latents of a whole volume, cut into chunks: margins reach across the chunks' borders.

    Args:
        codec: of a block autoencoder.
        volume: (z, y, x), a narrow dtype.
        chunk: (z, y, x) voxels to a chunk, multiples of the model's block size.
        fill_values: values that are no measurements.
    """

    def __init__(
        self, codec: Codec, volume: np.ndarray, chunk: Shape3, fill_values: tuple[float, ...]
    ) -> None:
        self._codec, self._volume, self._chunk = codec, volume, chunk
        self._ordinary = is_ordinary(volume, fill_values)
        filled = volume
        if not self._ordinary.all():
            zeros = np.where(self._ordinary, volume, 0).astype(np.float32)
            filled = fill_smoothly(zeros, self._ordinary).astype(volume.dtype)
        encoded = encode_volume(codec, filled)
        assert isinstance(encoded, Encoded)
        self._encoded, self._filled = encoded, filled
        self._decoded: tuple[float | None, np.ndarray] | None = None

    @property
    def range(self) -> tuple[float, float]:
        """What the model takes for 0 and 1."""
        return float(self._encoded.minimum), float(self._encoded.maximum)

    def encode(self, place: Slices, step: float | None) -> bytes:
        """The payload of the chunk at ``place``: float32 latents, or with a step their stream."""
        block_size = self._codec.config.block_size
        blocks = tuple(slice(part.start // block_size, -(-part.stop // block_size)) for part in place)
        values = np.asarray(self._encoded.latents[blocks])
        if step is None:
            body = pack_values(values)
        else:
            room = (side // block_size for side in self._chunk)
            missing = [(0, most - side) for side, most in zip(values.shape[:3], room, strict=True)]
            filled = np.pad(values, [*missing, (0, 0)], mode="edge")
            body = latents.to_bytes(latents.encode_latents(jnp.asarray(filled), jnp.float32(step)))
        original, ordinary = self._volume[place], self._ordinary[place]
        with np.errstate(invalid="ignore"):
            errors = np.abs(self._decode(step)[place].astype(np.float64) - original.astype(np.float64))
        return Frame(
            kind=LATENTS,
            shape=check_shape(original.shape),
            dtype=original.dtype,
            max_error=float(errors.max(where=ordinary, initial=0.0)),
            body=body,
            specials=encode_specials(original, ordinary),
            correction=b"",
        ).to_bytes()

    def _decode(self, step: float | None) -> np.ndarray:
        """The volume decoded from its latents, rounded to multiples of ``step``."""
        if self._decoded is None or self._decoded[0] != step:
            encoded = self._encoded
            if step is not None:
                rounded = jnp.rint(encoded.latents / jnp.float32(step)) * jnp.float32(step)
                encoded = dataclasses.replace(encoded, latents=rounded)
            self._decoded = step, np.asarray(decode_volume(self._codec, encoded))
        return self._decoded[1]

    def _psnr(self, step: float | None) -> float:
        return psnr_db(self._filled, self._decode(step))

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
        return find_step(self._psnr, min(psnr, best - 0.04), latents.STEPS)
