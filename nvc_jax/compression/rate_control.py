"""Volumes as payloads, chunk by chunk: one compiled shape, whatever the volume's sides."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder.blocks import Shape3, check_shape
from nvc_jax.chunks.special_values import is_ordinary
from nvc_jax.chunks.spectral_chunk import ChunkCodec, Target
from nvc_jax.compression.value_range import Survey
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.models.codec import Codec
from nvc_jax.spectral import encoder

Slices = tuple[slice, ...]


def whole_of(shape: tuple[int, ...]) -> Slices:
    """The slices of all of a volume."""
    return tuple(slice(0, side) for side in shape)


def place_of(index: tuple[int, ...], chunk: Shape3, shape: tuple[int, ...]) -> Slices:
    """Where a chunk lies in a volume of ``shape``."""
    return tuple(slice(i * n, min((i + 1) * n, side)) for i, n, side in zip(index, chunk, shape, strict=True))


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
    return check_shape(tuple(part.stop - part.start for part in place_of(index, chunk, shape)))


def inner_faces(place: Slices, shape: tuple[int, ...]) -> int:
    """The faces at which a chunk of a volume of ``shape`` meets others, see ``faces``."""
    ends = ((part.start > 0, part.stop < side) for part, side in zip(place, shape, strict=True))
    return sum(met << bit for bit, met in enumerate(itertools.chain.from_iterable(ends)))


def find_step(
    psnr_of: Callable[[float], float], psnr: float, steps: tuple[float, float], start: float | None = None
) -> float:
    """The largest step found within ``steps`` that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
    low, high = map(math.log, steps)  # logarithms of steps that reach it, and that do not
    guess = math.log(start or math.sqrt(12) * 10 ** (-psnr / 20))
    for _ in range(14):
        guess = min(max(guess, low + 0.02 * (high - low)), high - 0.02 * (high - low))
        excess = psnr_of(math.exp(guess)) - psnr
        if abs(excess) < 0.05:
            return math.exp(guess)
        low, high = (guess, high) if excess > 0 else (low, guess)
        # 6 dB for each halving of the step, near enough to converge in a few rounds.
        guess += min(max(excess, -20.0), 20.0) * math.log(10) / 20
    return math.exp(low)


_RATIOS = (1.0, 1.4, 2.0, 2.8)
"""Steps over the bound that are tried first."""
_N_SAMPLES = 8
"""So many chunks stand for a volume when a step is looked for."""


class ChunkedVolume:
    """A volume cut into chunks of one shape, which a spectral model's programs encode one by one.

    Args:
        codec: of a spectral model.
        volume: (z, y, x), a supported dtype; what of it is needed is read when it is needed.
        chunk: (z, y, x) voxels to a chunk.
        found: its range, and its values that are no measurements.
    """

    def __init__(self, codec: Codec, volume: ts.TensorStore, chunk: Shape3, found: Survey) -> None:
        self._chunk_codec = ChunkCodec(codec, chunk, volume.dtype.numpy_dtype)
        self._volume, self._places, self._found = volume, chunk_places(volume.shape, chunk), found

    def encode(self, place: Slices, target: Target) -> bytes:
        """The payload of the chunk that lies at ``place`` in the volume."""
        return self._encode(read_part(self._volume, place), place, target)

    def _encode(self, values: np.ndarray, place: Slices, target: Target) -> bytes:
        faces = inner_faces(place, self._volume.shape)
        return self._chunk_codec.encode(values, target, self._found.fill_values, faces)

    def _errors(self, place: Slices, step: float) -> tuple[float, int]:
        """Sum of the squared errors of a chunk encoded with ``step``, and of how many voxels."""
        original = read_part(self._volume, place)
        payload = self._encode(original, place, Target(None, step))
        ordinary = is_ordinary(original, self._found.fill_values)
        return squared_errors(original[ordinary], self._chunk_codec.decode(payload)[ordinary])

    def step_for_psnr(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        extent = self._found.high - self._found.low
        if extent == 0:
            return 1.0

        def psnr_of(places: list[Slices], step: float) -> float:
            errors = map_in_order(lambda place: self._errors(place, step * extent), places)
            return psnr_of_sums(extent, errors)

        steps = (encoder.MIN_STEP, encoder.MAX_STEP)
        few = spread(self._places, _N_SAMPLES)
        step = find_step(functools.partial(psnr_of, few), psnr, steps)
        if len(few) < len(self._places):
            step = find_step(functools.partial(psnr_of, self._places), psnr, steps, start=step)
        return extent * step

    def step_for_bound(self, max_error: float) -> float:
        """The step that takes the fewest bytes under a bound, as far as some chunks tell."""
        places = spread(self._places, 1 if len(self._places) <= _N_SAMPLES else 3)

        @functools.cache
        def size(ratio: float) -> int:
            target = Target(max_error, ratio * max_error)
            return sum(map_in_order(lambda place: len(self.encode(place, target)), places))

        best = min(_RATIOS, key=size)
        best = min((best / 2**0.25, best, best * 2**0.25), key=size)
        return best * max_error


def chunk_places(shape: tuple[int, ...], chunk: Shape3) -> list[Slices]:
    """Where the chunks of a volume lie, in z, y, x order."""
    grid = (-(-side // n) for side, n in zip(shape, chunk, strict=True))
    return [place_of(index, chunk, shape) for index in itertools.product(*map(range, grid))]


def spread(places: list[Slices], count: int) -> list[Slices]:
    """At most ``count`` of ``places``, at equal distances."""
    if len(places) <= count:
        return places
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


def read_part(volume: ts.TensorStore, place: Slices) -> np.ndarray:
    """The voxels at ``place``, in C order."""
    return np.ascontiguousarray(volume[place].read().result())


def squared_errors(original: np.ndarray, decoded: np.ndarray) -> tuple[float, int]:
    """The sum of squared differences, and how many there are."""
    errors = decoded.astype(np.float64) - original.astype(np.float64)
    return float(np.sum(errors * errors)), errors.size


def psnr_of_sums(extent: float, errors: Iterable[tuple[float, int]]) -> float:
    """PSNR in dB, relative to ``extent``, from the ``squared_errors`` of parts."""
    total, count = map(sum, zip(*errors, strict=True))
    if total == 0:
        return math.inf
    return 20 * math.log10(extent) - 10 * math.log10(total / count)
