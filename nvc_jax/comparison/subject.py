"""The subject of a trial: a volume, and the few of its chunks that stand for all."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.rate_control import pick_evenly
from nvc_jax.chunks.value_range import find_value_range
from nvc_jax.compression.layout import ChunkLayout
from nvc_jax.compression.options import check_source
from nvc_jax.compression.preparation import Preparation, ValueOptions, prepare
from nvc_jax.compression.source import scan_chunks
from nvc_jax.compression.value_options import check_within_limits
from nvc_jax.core.chunk_grid import ChunkIndex, Region, chunk_region, chunk_regions
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ValueRange
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape, check_array_shape
from nvc_jax.core.spatial_axes import coded_shape
from nvc_jax.core.systematic_sampling import scatter
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.io.declared_values import DeclaredValues
from nvc_jax.io.lazy import read_region
from nvc_jax.models.codec import Codec

_MOST_SCANNED_BYTES = 4 << 30
"""Bytes of a volume (4 GiB) up to which its range is that of all voxels: they are read in some seconds."""
_LEAST_CHUNKS = 4
"""Chunks that are tried, however large they are; all where a volume has fewer."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A volume, and the chunks of it that are tried.

    Attributes:
        prepared: the volume with its rules.
        layout: of chunks and shards.
        value_range: of the volume; that of the sample where the volume is too large to be read.
        sample: regions of the chunks that are tried.
        scan_seconds: seconds in which the range of the whole volume is found.
    """

    prepared: Preparation
    layout: ChunkLayout
    value_range: ValueRange
    sample: tuple[Region, ...]
    scan_seconds: float

    @property
    def n_voxels(self) -> int:
        """Voxels of the volume."""
        return math.prod(self.prepared.volume.shape)

    @property
    def n_sampled(self) -> int:
        """Voxels of the sample."""
        return sum(math.prod(part.stop - part.start for part in region) for region in self.sample)

    @property
    def n_chunks(self) -> int:
        """Chunks of the volume."""
        sides = zip(self.prepared.volume.shape, self.layout.chunk, strict=True)
        return math.prod(-(-side // n) for side, n in sides)

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.prepared.volume.dtype.numpy_dtype.itemsize

    def make_encoder(self) -> ChunkEncoder:
        """Make an encoder of the volume's chunks, which remembers nothing."""
        codec = self.prepared.codec
        return codec.model.chunk_encoder(
            codec.params, self.prepared.volume, self.layout.chunk, self.value_range
        )

    def with_target(self, **options: Any) -> "Subject":
        """Take another quality target; options and errors as of ``compress``."""
        return dataclasses.replace(self, prepared=self.prepared.with_target(**options))

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk: (z, y, x), of its coded shape."""
        values = read_region(self.prepared.volume, region)
        return values.reshape(coded_shape(values.shape, self.layout.chunk))

    def mark_valid(self, values: np.ndarray) -> np.ndarray:
        """Mark the values of a chunk that are measurements."""
        return valid_mask(values, self.value_range.missing_values, self.value_range.valid_limits)


def take_subject(
    source: Any,
    model: str | Path | Codec,
    values: ValueOptions,
    layout: tuple[Sequence[int] | None, Sequence[int] | None],
    most_voxels: int,
) -> Subject:
    """Open a volume, choose the chunks to try, and find the range.

    Args:
        source: a volume as ``open_volume`` takes it.
        model: name of a shipped model, path of a checkpoint, or a codec.
        values: options that say what must come back.
        layout: shapes of chunks and shards, as ``compress`` takes them.
        most_voxels: that are tried, unless a few chunks have more.
    """
    check_source(source)
    prepared = prepare(source, model, values)
    volume, declared = prepared.volume, prepared.rules.declared
    chosen = prepared.choose_layout(*layout)
    n_chunks = max(most_voxels // math.prod(chosen.chunk), _LEAST_CHUNKS)
    start = time.perf_counter()
    if math.prod(volume.shape) * volume.dtype.numpy_dtype.itemsize <= _MOST_SCANNED_BYTES:
        value_range, sample = _scan(volume, chosen.chunk, declared, n_chunks)
    else:
        regions = chunk_regions(volume.shape, chosen.chunk)
        sample = [regions[number] for number in sorted(set(scatter(len(regions), n_chunks)))]
        parts = map_in_order(lambda region: read_region(volume, region), sample)
        value_range = find_value_range(parts, *declared)
    seconds = time.perf_counter() - start
    value_range = prepared.rules.add_to(value_range)
    if (value_range.low, value_range.high) != (0, 0):
        check_within_limits(value_range)
    return Subject(prepared, chosen, value_range, tuple(sample), seconds)


def _scan(
    volume: ts.TensorStore, chunk: Shape, declared: DeclaredValues, n_chunks: int
) -> tuple[ValueRange, list[Region]]:
    """Read a volume once: find its range, and choose chunks that stand for all of them.

    The chunks are sorted by how much neighbouring values differ, and taken at equal distances: so the sample
    has quiet and busy ones in the proportion in which the volume has them.
    """
    activity: dict[ChunkIndex, float] = {}

    def visit(index: ChunkIndex, values: np.ndarray) -> None:
        activity[index] = _measure_activity(values, valid_mask(values, *declared))

    value_range = scan_chunks(volume, chunk, declared, visit)
    ranked = sorted(activity, key=lambda index: (activity[index], index))
    shape = check_array_shape(volume.shape)
    picked = pick_evenly([chunk_region(index, chunk, shape) for index in ranked], n_chunks)
    # In C order, so that a sample of all chunks is tried as `compress` tries them.
    return value_range, sorted(picked, key=lambda region: [part.start for part in region])


def _measure_activity(values: np.ndarray, valid: np.ndarray) -> float:
    """Mean difference of valid neighbours along the last axis; 0 where there are none."""
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.abs(np.diff(values.astype(np.float32), axis=-1))
    counted = steps[valid[..., 1:] & valid[..., :-1]]
    return float(counted.mean(dtype=np.float64)) if counted.size else 0.0
