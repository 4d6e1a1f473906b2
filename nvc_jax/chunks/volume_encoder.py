"""Volumes as payloads, chunk by chunk: one compiled shape, whatever the volume's sides."""

import functools

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.rate_control import find_step, pick_evenly, psnr_of_sums, squared_errors
from nvc_jax.chunks.special_values import valid_mask
from nvc_jax.chunks.spectral_chunk import ChunkCodec, Target
from nvc_jax.chunks.value_range import ValueRange
from nvc_jax.core.chunk_grid import Region, chunk_regions, inner_boundaries
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape3
from nvc_jax.io.lazy import read_part
from nvc_jax.models.codec import Codec
from nvc_jax.spectral import stream

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

    def __init__(self, codec: Codec, volume: ts.TensorStore, chunk: Shape3, found: ValueRange) -> None:
        self._chunk_codec = ChunkCodec(codec, chunk, volume.dtype.numpy_dtype)
        self._volume, self._places, self._found = volume, chunk_regions(volume.shape, chunk), found

    def encode(self, place: Region, target: Target) -> bytes:
        """The payload of the chunk that lies at ``place`` in the volume."""
        return self._encode(read_part(self._volume, place), place, target)

    def _encode(self, values: np.ndarray, place: Region, target: Target) -> bytes:
        boundaries = inner_boundaries(place, self._volume.shape)
        return self._chunk_codec.encode(values, target, self._found.missing_values, boundaries)

    def _errors(self, place: Region, step: float) -> tuple[float, int]:
        """Sum of the squared errors of a chunk encoded with ``step``, and of how many voxels."""
        original = read_part(self._volume, place)
        payload = self._encode(original, place, Target(None, step))
        valid = valid_mask(original, self._found.missing_values)
        return squared_errors(original[valid], self._chunk_codec.decode(payload)[valid])

    def step_for_psnr(self, psnr: float) -> float:
        """The largest step found that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
        extent = self._found.high - self._found.low
        if extent == 0:
            return 1.0

        def psnr_of(places: list[Region], step: float) -> float:
            errors = map_in_order(lambda place: self._errors(place, step * extent), places)
            return psnr_of_sums(extent, errors)

        steps = (stream.MIN_STEP, stream.MAX_STEP)
        few = pick_evenly(self._places, _N_SAMPLES)
        step = find_step(functools.partial(psnr_of, few), psnr, steps)
        if len(few) < len(self._places):
            step = find_step(functools.partial(psnr_of, self._places), psnr, steps, start=step)
        return extent * step

    def step_for_bound(self, max_error: float) -> float:
        """The step that takes the fewest bytes under a bound, as far as some chunks tell."""
        places = pick_evenly(self._places, 1 if len(self._places) <= _N_SAMPLES else 3)

        @functools.cache
        def size(ratio: float) -> int:
            target = Target(max_error, ratio * max_error)
            return sum(map_in_order(lambda place: len(self.encode(place, target)), places))

        best = min(_RATIOS, key=size)
        best = min((best / 2**0.25, best, best * 2**0.25), key=size)
        return best * max_error
