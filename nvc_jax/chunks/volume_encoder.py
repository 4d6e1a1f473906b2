"""A volume's chunks encoded by a ``PayloadCodec``, each by itself, on accelerators several together."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.encoding_batches import EncodingBatches, choose_batch_size
from nvc_jax.chunks.kept_payloads import KeptPayloads
from nvc_jax.chunks.lessons import Lessons
from nvc_jax.chunks.mosaic import assemble, pick_tiles
from nvc_jax.chunks.payload_codec import MeasuredChunk, PayloadCodec
from nvc_jax.chunks.rate_control import TriedRatio, find_ratio, find_step, pick_evenly, summarize
from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_grid import Region, chunk_regions, inner_boundaries, naming_chunk
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget, QualityTarget, ValueRange
from nvc_jax.core.concurrency import map_on_devices
from nvc_jax.core.errors import error_unit, psnr_from_errors
from nvc_jax.core.heaps import releasing
from nvc_jax.core.shapes import Shape, Shape3
from nvc_jax.core.spatial_axes import coded_shape, count_steps, spatial_region, spatial_shape
from nvc_jax.io.lazy import read_region
from nvc_jax.native.idle_cores import keeping_core

_LEAST_FOR_MOSAIC = 3
"""Chunks from which on a search for a step begins with a mosaic."""
_ROUGH_TOLERANCE_DB = 0.25
"""Distance from the wanted PSNR at which a search by a mosaic ends: volumes differ from theirs by about 1 dB,
but the slope found so close is right for them, too."""
_FEW_CHUNKS, _SAMPLES_OF_FEW, _SAMPLES_OF_MANY = 16, 2, 3
"""Chunks of small volumes, and chunks that the step under a bound is chosen by, and from which the encoder
learns, in small volumes and in larger ones. The choice of the step changes the size by a few per cent only;
two chunks keep two cores busy."""

_PROMISED_DB = 0.1
"""Distance from the wanted PSNR that is promised."""
_NEAR = 1.5
"""Ratio to the smallest step up to which no smaller step was tried that reaches the PSNR."""
_SMALLEST_STEP = float(np.finfo(np.float64).tiny) * 2.0**20
"""Step below which float64 rounds it by too much to be sure of the PSNR."""
_STEP_DIGITS = 6
"""Decimal digits of a step that reaches a PSNR: enough for 0.0001 dB, and short in the metadata."""


class VolumeEncoder(ChunkEncoder):
    """Encodes the chunks of a volume whose payloads decode alone.

    Args:
        coder: transform coder of a model.
        volume: of a supported dtype, read chunk by chunk when it is needed.
        chunk: voxels of a whole chunk along each axis of the volume.
        value_range: of the volume.
        padded_shape: (z, y, x) for which the coder codes chunks; the spatial shape of a whole chunk if None.
        batch_size: largest number of chunks that are encoded together; as many as the devices in use take if
            None.
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
        self._codec = make_payload_codec(coder, padded_shape or whole, dtype, value_range, whole, n_steps)
        self._step_limits = coder.step_limits
        self._volume, self._value_range = volume, value_range
        self._regions = chunk_regions(volume.shape, chunk)
        batch_size = batch_size or choose_batch_size(coder, len(self._regions))
        self._batches = EncodingBatches(self._codec, coder, batch_size)
        self._chunk = chunk
        self._tried = KeptPayloads()
        self._lessons = Lessons(len(self._regions), self._pick(self._regions))

    def resolve(self, target: QualityTarget, sample: Sequence[Region] | None = None) -> ChunkTarget:
        """Turn a quality target into bound and step, in the volume's units; see ``ChunkEncoder``.

        Raises:
            ValueError: the target is relative to a range that float64 cannot hold.
        """
        ((name, value),) = target.items()
        width = self._value_range.width
        regions = self._regions
        if sample is not None:
            regions = list(sample)
            self._lessons = Lessons(len(regions), self._pick(regions))
        if name == "pointwise_error":
            return self._with_best_step(lambda ratio: ChunkTarget(None, ratio, value), regions)
        is_relative = name not in ("max_error", "lossless")
        if is_relative and not math.isfinite(width * (1.0 if name == "psnr" else value)):
            low, high = self._value_range.low, self._value_range.high
            raise ValueError(
                f"`{name}` (={value}) is relative to a range, [{low}, {high}], and beyond float64's: "
                "give a `max_error`"
            )
        if name == "psnr":
            return ChunkTarget(None, self._step_for_psnr(value, regions))
        if name == "step":
            return ChunkTarget(None, value * width)
        bound = 0.0 if name == "lossless" else value * (width if name == "relative_error" else 1.0)
        if bound == 0:
            return ChunkTarget(bound, None)
        return self._with_best_step(lambda ratio: ChunkTarget(bound, ratio * bound), regions)

    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        """Encode the chunk that lies at ``region`` in the volume."""
        return self._encode(region, self._codec, target)

    def learn(self, target: ChunkTarget, sample: Sequence[Region] | None = None) -> None:
        """Encode some chunks, unless that has been done, so that others are tried in fewer ways."""
        if sample is not None:
            self._lessons = Lessons(len(sample), self._pick(list(sample)))

        def encode(pilots: list[Region]) -> None:
            for _ in self._batches.map_on_devices(functools.partial(self._try_pilot, target=target), pilots):
                pass

        self._lessons.learn(target, encode)

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device encodes together: 1 on CPUs, else as many as fit into it."""
        return self._batches.batch_size

    def encode_together(self, regions: Sequence[Region], target: ChunkTarget) -> Iterable[bytes]:
        """Encode at most ``batch_size`` chunks together; see ``ChunkEncoder``."""
        return self._batches.map_together(functools.partial(self._encode, target=target), regions)

    @keeping_core
    def _encode(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> bytes:
        tried = self._tried.take(region, target)
        return tried or self._encode_prepared((region, self._prepare(region)), codec, target)

    def _encode_prepared(self, item: tuple[Region, Any], codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Encode a prepared chunk of a region."""
        region, prepared = item
        with naming_chunk(region):
            experience = self._lessons.begin(region, target)
            payload = codec.encode_prepared(prepared, target, self._boundaries(region), experience)
        self._lessons.end(region, target, experience)
        return payload

    def _try(self, item: tuple[Region, Any], codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Encode a prepared chunk of a region, and keep the payload."""
        payload = self._encode_prepared(item, codec, target)
        self._tried.keep(item[0], target, payload)
        return payload

    @keeping_core
    def _try_pilot(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> bytes:
        """Prepare and encode a chunk of a region, and keep the payload."""
        return self._try((region, self._prepare(region)), codec, target)

    def _read(self, region: Region) -> np.ndarray:
        """Read a chunk: of its coded shape."""
        values = read_region(self._volume, region)
        return values.reshape(coded_shape(values.shape, self._chunk))

    def _prepare(self, region: Region) -> Any:
        """Read a chunk, and prepare it to be encoded."""
        with naming_chunk(region):
            return self._codec.prepare(self._read(region))

    @keeping_core
    def _squared_errors(self, region: Region, codec: PayloadCodec, target: ChunkTarget) -> tuple[float, int]:
        """Encode a chunk with a step and keep the payload.

        Returns:
            Sum of the squared errors, in squares of the range's unit, and the number of valid voxels.
        """
        assert target.step is not None
        prepared, experience = self._prepare(region), self._lessons.begin(region, target)
        with naming_chunk(region):
            measured = codec.encode_and_measure(prepared, target.step, self._boundaries(region), experience)
        self._lessons.end(region, target, experience)
        self._tried.keep(region, target, measured.stored)
        return self._errors_of(measured)

    def _errors_of(self, measured: MeasuredChunk) -> tuple[float, int]:
        """Squared errors of a chunk, in squares of the range's unit, and the number of valid voxels."""
        scale = measured.unit / error_unit(self._value_range.width)
        return measured.squared_error * scale**2, measured.n_valid

    def _boundaries(self, region: Region) -> int:
        """Boundaries at which the chunk of a region meets others."""
        shape = spatial_shape(self._volume.shape, self._chunk)
        return inner_boundaries(spatial_region(region, self._chunk), shape)

    def _pick(self, regions: list[Region]) -> list[Region]:
        """Pick the chunks that stand for all."""
        return pick_evenly(
            regions, _SAMPLES_OF_FEW if len(self._regions) <= _FEW_CHUNKS else _SAMPLES_OF_MANY
        )

    def _step_for_psnr(self, psnr: float, regions: list[Region]) -> float:
        """Largest step found that reaches ``psnr`` in regions within the tolerance, or else exceeds it.

        Raises:
            ValueError: no step reaches it.
        """
        width = self._value_range.width
        if width == 0:
            return 1.0

        def stated_step(step: float) -> float:
            in_units = min(width * step, float(np.finfo(np.float64).max) / 2)
            return max(float(f"{in_units:.{_STEP_DIGITS}g}"), math.ulp(0.0))

        def psnr_of(regions: list[Region], step: float) -> float:
            target = ChunkTarget(None, stated_step(step))
            self._tried.drop_others(target)
            measure = functools.partial(self._squared_errors, target=target)
            pilots = [region for region in regions if self._lessons.is_pilot(region)]
            others = [region for region in regions if not self._lessons.is_pilot(region)]
            errors = list(self._batches.map_on_devices(measure, pilots))
            self.learn(target)
            errors += self._batches.map_on_devices(measure, others)
            return psnr_from_errors(width / error_unit(width), errors)

        def measure(mosaic: Any, codec: PayloadCodec, step: float) -> tuple[float, int]:
            return self._errors_of(codec.encode_and_measure(mosaic, step))

        def psnr_of_mosaic(prepared: Any, step: float) -> float:
            measure_step = functools.partial(measure, step=stated_step(step))
            errors = self._batches.map_on_devices(measure_step, [prepared])
            return psnr_from_errors(width / error_unit(width), errors)

        tiles = pick_tiles(regions, self._chunk) if len(regions) >= _LEAST_FOR_MOSAIC else []
        guess = None
        if tiles:  # a sample of chunks, of the shape of one
            mosaic = assemble([self._read(tile) for tile in tiles], coded_shape(self._chunk, self._chunk))
            try_step = functools.partial(psnr_of_mosaic, self._codec.prepare(mosaic))
            guess = find_step(try_step, psnr, self._step_limits, tolerance=_ROUGH_TOLERANCE_DB)
        step, _ = find_step(functools.partial(psnr_of, regions), psnr, self._step_limits, start=guess)
        if step <= self._step_limits[0] * _NEAR or stated_step(step) < _SMALLEST_STEP:
            reached = psnr_of(regions, step)
            if not reached >= psnr - _PROMISED_DB:
                raise ValueError(
                    f"`psnr` (={psnr}) is beyond this volume, whose range is {width:g}: {reached:.2f} dB is "
                    "reached at best; use `lossless` or `max_error`, or multiply the volume by a number"
                )
        return stated_step(step)

    def _with_best_step(
        self, target_of: Callable[[float], ChunkTarget], regions: list[Region]
    ) -> ChunkTarget:
        """Choose the step that takes the fewest bytes under a bound, judged by a few chunks.

        Args:
            target_of: target of every chunk by the ratio of step to bound.
            regions: of the chunks among which those few are picked.
        """
        picked = self._pick(regions)
        sample = list(zip(picked, releasing(map_on_devices(self._prepare, picked)), strict=True))

        def measure(ratio: float) -> TriedRatio | None:
            target = target_of(ratio)
            stored = list(self._batches.map_on_devices(functools.partial(self._try, target=target), sample))
            payloads = [step for one in stored for step in self._codec.parse(one)]
            return summarize(sum(map(len, stored)), payloads)

        target = target_of(find_ratio(measure))
        self._tried.drop_others(target)
        return target
