"""Targets of chunks, found for a volume's quality target by encoding some chunks, or for a PSNR all."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nvc_jax.chunks.mosaic import assemble, mosaic_shape, pick_tiles
from nvc_jax.chunks.payload_codec import PayloadCodec
from nvc_jax.chunks.psnr_search import find_spread_step, guess_step
from nvc_jax.chunks.rate_control import StepGuess, TriedRatio, find_ratio, find_step, pick_evenly, summarize
from nvc_jax.chunks.spread_steps import OwnTarget
from nvc_jax.chunks.volume_chunks import SAMPLES_OF_FEW, SquaredErrors, VolumeChunks
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.concurrency import map_on_devices
from nvc_jax.core.heaps import releasing
from nvc_jax.core.spatial_axes import coded_shape

_LEAST_FOR_MOSAIC, _LEAST_FOR_MIDDLE = 3, 12
"""Chunks from which on a search for a step begins with a mosaic, and goes on with a quarter of the chunks."""
_PROMISED_DB = 0.1
"""Distance from the wanted PSNR that is promised."""
_NEAR = 1.5
"""Ratio to the smallest step up to which no smaller step was tried that reaches the PSNR."""
_SMALLEST_STEP = float(np.finfo(np.float64).tiny) * 2.0**20
"""Step below which float64 rounds it by too much to be sure of the PSNR."""


def find_target_of_psnr(chunks: VolumeChunks, psnr: float, sample: list[Region] | None) -> ChunkTarget:
    """Find the largest steps that reach a PSNR within the tolerance, or else exceed it.

    Args:
        chunks: of the volume.
        psnr: dB to reach.
        sample: regions of chunks that stand for all, which then have one step; None for all.

    Raises:
        ValueError: no step reaches it.
    """
    width = chunks.value_range.width
    if width == 0:
        return ChunkTarget(None, 1.0)
    regions, is_spread = (chunks.regions, True) if sample is None else (sample, False)
    are_spread = is_spread and chunks.spread.are_spread
    measured: dict[tuple[tuple[int, ...], OwnTarget], SquaredErrors] = {}

    def target_by(step: float) -> ChunkTarget:
        return ChunkTarget(None, chunks.in_units(step), is_spread=is_spread)

    def psnr_of(regions: Sequence[Region], step: float) -> float:
        return chunks.psnr_of(chunks.measure(regions, target_by(step), measured))

    of_all, limits = functools.partial(psnr_of, regions), chunks.step_limits
    guess, spread = _guess(chunks, psnr, regions), chunks.spread
    if are_spread and len(regions) >= _LEAST_FOR_MIDDLE:
        of_middle = functools.partial(psnr_of, spread.middle())
        step = find_spread_step(of_all, of_middle, psnr, limits, guess, spread.nearest)
    else:
        start = guess._replace(step=spread.nearest(guess.step)) if are_spread else guess
        step = find_step(of_all, psnr, limits, start=start).step
    if step <= limits[0] * _NEAR or chunks.in_units(step) < _SMALLEST_STEP:
        _check_reached(of_all(step), psnr, width)
    return target_by(step)


def _check_reached(reached: float, psnr: float, width: float) -> None:
    """Refuse a PSNR that the smallest step does not reach.

    Raises:
        ValueError: it does not, by more than is promised.
    """
    if not reached >= psnr - _PROMISED_DB:
        raise ValueError(
            f"`psnr` (={psnr}) is beyond this volume, whose range is {width:g}: {reached:.2f} dB is reached "
            "at best; use `lossless` or `max_error`, or multiply the volume by a number"
        )


def _guess(chunks: VolumeChunks, psnr: float, regions: list[Region]) -> StepGuess:
    """Guess the step that reaches a PSNR, by a mosaic of tiles or, where there is none, by two chunks."""
    tiles = pick_tiles(regions, chunks.chunk) if len(regions) >= _LEAST_FOR_MOSAIC else []
    if tiles:
        shape = coded_shape(mosaic_shape(chunks.chunk), chunks.chunk)
        sample = [chunks.codec.prepare(assemble([chunks.read(tile) for tile in tiles], shape))]
    else:
        sample = [chunks.prepare(region) for region in pick_evenly(regions, SAMPLES_OF_FEW)]

    def measure(item: tuple[float, Any], codec: PayloadCodec) -> SquaredErrors:
        step, prepared = item
        return chunks.errors_of(codec.encode_and_measure(prepared, chunks.in_units(step)))

    def psnrs_of(steps: Sequence[float]) -> list[float]:
        items = [(step, prepared) for step in steps for prepared in sample]
        errors, n = list(chunks.batches.map_on_devices(measure, items)), len(sample)
        return [chunks.psnr_of(errors[i * n : (i + 1) * n]) for i in range(len(steps))]

    return guess_step(psnrs_of, psnr, chunks.step_limits)


def find_target_of_bound(
    chunks: VolumeChunks, target_of: Callable[[float], ChunkTarget], regions: Sequence[Region]
) -> ChunkTarget:
    """Choose the step that takes the fewest bytes under a bound, judged by a few chunks.

    Args:
        chunks: of the volume.
        target_of: target of every chunk by the ratio of step to bound; not spread.
        regions: of the chunks among which those few are picked.
    """
    picked = chunks.pick(regions)
    sample = list(zip(picked, releasing(map_on_devices(chunks.prepare, picked)), strict=True))

    def measure(ratio: float) -> TriedRatio | None:
        encode = functools.partial(chunks.try_prepared, target=target_of(ratio))
        stored = list(chunks.batches.map_on_devices(encode, sample))
        payloads = [step for one in stored for step in chunks.codec.parse(one)]
        return summarize(sum(map(len, stored)), payloads)

    target = target_of(find_ratio(measure))
    chunks.tried.drop_others(target)
    return target


def check_relative(name: str, value: float, chunks: VolumeChunks) -> None:
    """Refuse a target that is relative to a range that float64 cannot hold.

    Raises:
        ValueError: it is.
    """
    value_range = chunks.value_range
    if not math.isfinite(value_range.width * (1.0 if name == "psnr" else value)):
        raise ValueError(
            f"`{name}` (={value}) is relative to a range, [{value_range.low}, {value_range.high}], and "
            "beyond float64's: give a `max_error`"
        )
