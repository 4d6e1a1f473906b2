"""Range and missing values of a volume that may be larger than memory, by one pass over its parts."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorstore as ts

from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits, ValueRange
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.dtypes import is_float, number_of
from nvc_jax.core.shapes import Shape
from nvc_jax.core.slabs import slabs
from nvc_jax.core.spatial_axes import N_SPATIAL, piece_shape, spatial_axes
from nvc_jax.core.valid_values import all_finite, valid_mask
from nvc_jax.io.lazy import read_region
from nvc_jax.native.checksums import crc32
from nvc_jax.native.host_kernels import serves
from nvc_jax.native.value_counts import N_ENDS, count_values

SCAN_SIDE = 128
"""Least side, in voxels, of the pieces in which a volume is scanned: many small ones take long to read."""
_MIN_SHARE = 0.01
"""Share of the voxels that an undeclared missing value takes at least: rarer values may be outliers."""
_MIN_GAP = 3.0
"""Distance of an undeclared missing value from all others, in multiples of their range."""
_MAX_UNDECLARED = 2
"""Most undeclared missing values: one at either end of the range. N_ENDS distinct values are counted
there: the range still has one when two are missing values."""
_ROW = 256
"""Values whose ends tell quickly which ones are far from those of a volume."""


def has_valid_values(volume: ts.TensorStore, chunk: Shape, value_range: ValueRange) -> bool:
    """Tell whether a volume has any valid value by the rules of its range, whose ends are 0 without one."""
    if (value_range.low, value_range.high) != (0, 0):
        return True
    rules = (value_range.missing_values, value_range.valid_limits)
    regions = scan_regions(volume.shape, chunk)
    with contextlib.closing(map_in_order(lambda region: read_region(volume, region), regions)) as pieces:
        return any(_valid_values(piece, *rules).size for piece in pieces)


def scan_regions(shape: Sequence[int], chunk: Shape, least_side: int = SCAN_SIDE) -> list[Region]:
    """List the regions of the pieces in which a volume is scanned, in C order.

    Args:
        shape: of the volume.
        chunk: voxels along each axis in which the volume is cut later: a piece is at least as large.
        least_side: least side of a piece, in voxels.
    """
    axes = spatial_axes(chunk)
    least = [max(side, least_side) if axis in axes else side for axis, side in enumerate(chunk)]
    return chunk_regions(tuple(shape), piece_shape(shape, chunk, least, SCAN_SIDE**N_SPATIAL))


@dataclasses.dataclass
class ValueCounts:
    """Counts of the values at both ends of the range of a volume, or of a part of it.

    Attributes:
        n_voxels: of the volume, or of the part.
        kind: of the dtype, as ``np.dtype.kind`` has it.
        lowest, highest: how often the last three distinct valid values at each end of the range occur.
    """

    n_voxels: int = 0
    kind: str = "f"
    lowest: dict[float, int] = dataclasses.field(default_factory=dict)
    highest: dict[float, int] = dataclasses.field(default_factory=dict)

    def add(
        self, part: np.ndarray, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
    ) -> None:
        """Count the values of a part of the volume; see ``find_value_range``."""
        self.kind = part.dtype.kind
        self.n_voxels += part.size
        if serves(part.dtype):
            counted = count_values(part, self.lowest, self.highest, missing_values, valid_limits)
            self.lowest, self.highest = counted.lowest, counted.highest
            return
        for slab in slabs(part.shape):
            values = _valid_values(part[slab], missing_values, valid_limits)
            _count_ends(self.lowest, values, np.min)
            _count_ends(self.highest, values, np.max)

    def add_with_checksums(
        self,
        part: np.ndarray,
        chunks: Sequence[Region],
        missing_values: Sequence[float] = (),
        valid_limits: Limits = NO_LIMITS,
    ) -> list[int]:
        """Count the values of a part of the volume as ``add`` does, and return the CRC-32 of its chunks.

        Args:
            part: of the volume.
            chunks: regions of the part that cover it, without overlaps.
            missing_values: declared missing values.
            valid_limits: declared limits beyond which values are missing.
        """
        if not serves(part.dtype):
            self.add(part, missing_values, valid_limits)
            return [crc32(part[chunk]) for chunk in chunks]
        self.kind = part.dtype.kind
        self.n_voxels += part.size
        checksums = []
        for chunk in chunks:
            *counted, checksum = count_values(
                part[chunk], self.lowest, self.highest, missing_values, valid_limits, has_checksum=True
            )
            self.lowest, self.highest = counted
            checksums.append(checksum)
        return checksums

    def merge(self, other: "ValueCounts") -> None:
        """Add what a pass over another part of the same volume has counted."""
        self.kind = other.kind if other.n_voxels else self.kind
        self.n_voxels += other.n_voxels
        for counts, others in ((self.lowest, other.lowest), (self.highest, other.highest)):
            kept = sorted({*counts, *others}, reverse=counts is self.highest)[:N_ENDS]
            merged = {value: counts.get(value, 0) + others.get(value, 0) for value in kept}
            counts.clear()
            counts.update(merged)

    def to_value_range(
        self, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
    ) -> ValueRange:
        """Find range and missing values of the volume whose parts were counted; see ``find_value_range``."""
        counts = self.lowest | self.highest
        missing = dict.fromkeys(value for value in missing_values if math.isfinite(value))
        has_levels = self.kind == "b" or (self.kind in "iu" and len(counts) < 2 * N_ENDS)
        for _ in range(0 if has_levels else _MAX_UNDECLARED):
            undeclared = _find_undeclared(counts, self.n_voxels)
            if undeclared is None:
                break
            del counts[undeclared]
            missing[undeclared] = None
        return ValueRange(min(counts, default=0.0), max(counts, default=0.0), tuple(missing), valid_limits)


def find_value_range(
    parts: Iterable[np.ndarray], missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
) -> ValueRange:
    """Find a volume's range and its missing values.

    The smallest or largest value counts as missing, too, where it takes 1 % of the voxels or more and lies
    further from the next value than three times the range of all others. Of bool no value does, nor of
    integers with five values or fewer, such as masks: their levels are labels, however far apart.

    Args:
        parts: arrays that together are the volume.
        missing_values: declared missing values.
        valid_limits: declared limits beyond which values are missing.
    """
    counts = ValueCounts()
    for part in parts:
        counts.add(part, missing_values, valid_limits)
    return counts.to_value_range(missing_values, valid_limits)


def _valid_values(part: np.ndarray, missing_values: Sequence[float], valid_limits: Limits) -> np.ndarray:
    is_declared = bool(missing_values) or valid_limits != NO_LIMITS
    if not is_declared and (not is_float(part.dtype) or all_finite(part)):
        return part.reshape(-1)
    return part[valid_mask(part, missing_values, valid_limits)]


def _count_ends(counts: dict[float, int], values: np.ndarray, extreme: Callable) -> None:
    """Count the last distinct values at one end; ``counts`` keeps those at the end of all parts so far."""
    if values.size == 0:
        return
    if len(counts) == N_ENDS:
        # Nearly all slabs have no value beyond the three, or just some of them.
        is_lowest = extreme is np.min
        limit = values.dtype.type(max(counts) if is_lowest else min(counts))
        beyond = values <= limit if is_lowest else values >= limit
        n_beyond = int(np.count_nonzero(beyond))
        if n_beyond == 0:
            return
        found = {number: int(np.count_nonzero(values == values.dtype.type(number))) for number in counts}
        if sum(found.values()) == n_beyond:
            counts.update({number: counts[number] + n_found for number, n_found in found.items()})
            return
        values = values[beyond]
    values = _near_end(values, extreme)
    for _ in range(N_ENDS):
        if values.size == 0:
            return
        value = extreme(values)
        number = number_of(value)
        kept = sorted({*counts, number}, reverse=extreme is np.max)[:N_ENDS]
        if number not in kept:
            return
        others = values[values != value]
        counted = counts | {number: counts.get(number, 0) + values.size - others.size}
        counts.clear()
        counts.update({key: counted[key] for key in kept})
        values = others


def _near_end(values: np.ndarray, extreme: Callable) -> np.ndarray:
    """Leave out most values that are not among the last distinct ones at one end, by the ends of rows."""
    rows = values[: len(values) // _ROW * _ROW].reshape(-1, _ROW)
    ends = np.unique(extreme(rows, axis=1))
    if len(ends) < N_ENDS:
        return values
    return values[values <= ends[N_ENDS - 1]] if extreme is np.min else values[values >= ends[-N_ENDS]]


def _find_undeclared(counts: dict[float, int], n_voxels: int) -> float | None:
    """Find an undeclared missing value among the counted ends of the range."""
    for candidate in (min(counts, default=None), max(counts, default=None)):
        others = counts.keys() - {candidate}
        if candidate is None or not others or counts[candidate] < _MIN_SHARE * n_voxels:
            continue
        low, high = min(others), max(others)
        gap = low - candidate if candidate < low else candidate - high
        if gap > _MIN_GAP * max(high - low, np.finfo(np.float64).tiny):
            return candidate
    return None
