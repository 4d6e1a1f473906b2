"""The chunks of a volume: read, encoded by a ``PayloadCodec`` and measured, on all devices in use."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.encoding_batches import EncodingBatches, choose_batch_size
from nvc_jax.chunks.kept_payloads import KeptPayloads
from nvc_jax.chunks.lessons import Lessons
from nvc_jax.chunks.payload_codec import MeasuredChunk, PayloadCodec
from nvc_jax.chunks.rate_control import pick_evenly
from nvc_jax.chunks.spread_steps import OwnTarget, SpreadSteps
from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_grid import Region, chunk_regions, first_voxel, inner_boundaries, naming_chunk
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.errors import error_unit, psnr_from_errors
from nvc_jax.core.shapes import Shape, Shape3
from nvc_jax.core.spatial_axes import coded_shape, count_steps, spatial_region, spatial_shape
from nvc_jax.io.lazy import read_region
from nvc_jax.native.idle_cores import keeping_core

SquaredErrors = tuple[float, int]
"""Sum of the squared errors of a chunk, in squares of the unit of the volume's range, and the number of valid
voxels."""
_FEW_CHUNKS, SAMPLES_OF_FEW, _SAMPLES_OF_MANY = 16, 2, 3
"""Chunks of small volumes, and chunks that the step under a bound is chosen by, and from which the encoder
learns, in small volumes and in larger ones. The choice of the step changes the size by a few per cent only;
two chunks keep two cores busy."""
_STEP_DIGITS = 6
"""Decimal digits of a step that reaches a PSNR: enough for 0.0001 dB, and short in the metadata."""


class VolumeChunks:
    """Chunks of a volume, whose payloads decode alone; several threads may use them.

    Arguments are those of ``VolumeEncoder``.

    Attributes:
        codec: of the chunks.
        regions: of all chunks.
        step_limits: smallest and largest step that the coder takes, relative to the range.
        batches: encodes chunks on all devices in use.
        spread: steps of the chunks where a target leaves them open.
        tried: payloads of trials, kept until their chunks are encoded.
    """

    def __init__(
        self,
        coder: TransformCoder,
        volume: ts.TensorStore,
        chunk: Shape,
        value_range: ValueRange,
        padded_shape: Shape3 | None = None,
        batch_size: int | None = None,
    ) -> None:
        whole, dtype = spatial_shape(chunk, chunk), volume.dtype.numpy_dtype
        n_steps = count_steps(chunk, chunk)
        self.codec = make_payload_codec(coder, padded_shape or whole, dtype, value_range, whole, n_steps)
        self._volume, self.chunk, self.value_range = volume, chunk, value_range
        self.regions = chunk_regions(volume.shape, chunk)
        batch_size = batch_size or choose_batch_size(coder, len(self.regions))
        self.step_limits = coder.step_limits
        self.batches = EncodingBatches(self.codec, coder, batch_size)
        self.tried = KeptPayloads()
        self.learn_from(self.regions)
        self.spread = SpreadSteps(
            *(self.regions, math.prod(chunk), self._lessons.is_pilot, value_range.width or 1.0, self.in_units)
        )

    def in_units(self, step: float) -> float:
        """Turn a step relative to the range to the volume's units, as it is stated."""
        in_units = min((self.value_range.width or 1.0) * step, float(np.finfo(np.float64).max) / 2)
        return max(float(f"{in_units:.{_STEP_DIGITS}g}"), math.ulp(0.0))

    def pick(self, regions: Sequence[Region]) -> list[Region]:
        """Pick the chunks that stand for some."""
        n = SAMPLES_OF_FEW if len(self.regions) <= _FEW_CHUNKS else _SAMPLES_OF_MANY
        return pick_evenly(list(regions), n)

    def learn_from(self, regions: Sequence[Region]) -> None:
        """Begin to learn from chunks that are picked from these."""
        self._lessons = Lessons(len(regions), self.pick(regions))

    def learn(self, target: ChunkTarget) -> None:
        """Encode some chunks, unless that has been done, so that others are tried in fewer ways."""
        lesson = self.spread.target_of(self.regions[0], target).lesson

        def encode(pilots: list[Region]) -> None:
            for _ in self.batches.map_on_devices(functools.partial(self._try_pilot, target=lesson), pilots):
                pass

        self._lessons.learn(lesson, encode)

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk, or a part of one: of its coded shape."""
        values = read_region(self._volume, region)
        return values.reshape(coded_shape(values.shape, self.chunk))

    def prepare(self, region: Region) -> Any:
        """Read a chunk, and prepare it to be encoded."""
        with naming_chunk(region):
            return self.codec.prepare(self.read(region))

    @keeping_core
    def encode(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Encode a chunk, unless the payload of a trial is there."""
        targets = self.spread.target_of(region, target)
        tried = self.tried.take(region, targets)
        return tried or self._encode_prepared((region, self.prepare(region)), codec, targets)

    def try_prepared(self, item: tuple[Region, Any], codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Encode a prepared chunk of a region, and keep the payload."""
        targets = self.spread.target_of(item[0], target)
        payload = self._encode_prepared(item, codec, targets)
        self.tried.keep(item[0], targets, payload)
        return payload

    def measure(
        self,
        regions: Sequence[Region],
        target: ChunkTarget,
        measured: dict[tuple[tuple[int, ...], OwnTarget], SquaredErrors],
    ) -> list[SquaredErrors]:
        """Find the squared errors of chunks under a target, and keep their payloads.

        Args:
            regions: of the chunks.
            target: of the volume.
            measured: errors by first voxel and target of a chunk. Chunks that it lacks are encoded.
        """
        keys = {(first_voxel(region), self.spread.target_of(region, target)): region for region in regions}
        self.tried.drop_others(self.spread.target_of(regions[0], target).lesson)
        missing = {key: region for key, region in keys.items() if key not in measured}
        encode = functools.partial(self._squared_errors, target=target)
        pilots = {key: region for key, region in missing.items() if self._lessons.is_pilot(region)}
        measured.update(zip(pilots, self.batches.map_on_devices(encode, pilots.values()), strict=True))
        self.learn(target)
        others = {key: region for key, region in missing.items() if key not in pilots}
        measured.update(zip(others, self.batches.map_on_devices(encode, others.values()), strict=True))
        return [measured[key] for key in keys]

    def errors_of(self, measured: MeasuredChunk) -> SquaredErrors:
        """Squared errors of a chunk, in the volume's unit."""
        scale = measured.unit / error_unit(self.value_range.width)
        return measured.squared_error * scale**2, measured.n_valid

    def psnr_of(self, errors: Iterable[SquaredErrors]) -> float:
        """PSNR of chunks with such errors, in dB."""
        width = self.value_range.width
        return psnr_from_errors(width / error_unit(width), errors)

    def _encode_prepared(self, item: tuple[Region, Any], codec: PayloadCodec, targets: OwnTarget) -> bytes:
        """Encode a prepared chunk of a region."""
        region, prepared = item
        with naming_chunk(region), self._lessons.on(region, targets) as experience:
            return codec.encode_prepared(prepared, targets.own, self._boundaries(region), experience)

    @keeping_core
    def _try_pilot(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Prepare and encode a chunk of a region, and keep the payload."""
        return self.try_prepared((region, self.prepare(region)), codec, target)

    @keeping_core
    def _squared_errors(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> SquaredErrors:
        """Encode a chunk with its step, keep the payload and find its errors."""
        targets, prepared = self.spread.target_of(region, target), self.prepare(region)
        assert targets.own.step is not None
        rules = targets.own.step, self._boundaries(region)
        with naming_chunk(region), self._lessons.on(region, targets) as experience:
            measured = codec.encode_and_measure(prepared, *rules, experience)
        self.tried.keep(region, targets, measured.stored)
        return self.errors_of(measured)

    def _boundaries(self, region: Region) -> int:
        """Boundaries at which the chunk of a region meets others."""
        shape = spatial_shape(self._volume.shape, self.chunk)
        return inner_boundaries(spatial_region(region, self.chunk), shape)
