"""One slice of a volume, or of the difference of two volumes: read, marked, reduced."""

import dataclasses
import threading
from collections.abc import Sequence

import numpy as np

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.dtypes import is_float
from nvc_jax.viewer.reduction import choose_step, reduce_mean, take_nearest
from nvc_jax.viewer.volumes import ViewedVolume, read_stoppable

PERCENTILES = (0.5, 99.5)
"""Percentiles of the valid values between which the contrast lies."""
_MOST_SIDE = 512
"""Pixels along a side of the slices from which the contrast of a volume is found."""


@dataclasses.dataclass(frozen=True)
class SliceQuery:
    """A slice that the page asks for.

    Attributes:
        volumes: number of one volume, or of two: the second is subtracted from the first.
        level: ``full`` or ``preview``.
        rows, columns: axes that are shown.
        index: voxels of the volume along all axes; those of ``rows`` and ``columns`` do not count.
        window: ((first, end) row, (first, end) column) in voxels of the volume that are shown.
        most: pixels along a side of the result at most.
    """

    volumes: tuple[int, ...]
    level: str
    rows: int
    columns: int
    index: tuple[int, ...]
    window: tuple[tuple[int, int], tuple[int, int]]
    most: int


@dataclasses.dataclass(frozen=True)
class Slice:
    """A slice as it is shown.

    Attributes:
        values: uint8, or float32 in which NaN marks missing values; (rows, columns).
        origin: first row and column, in voxels of the volume.
        pixel: voxels of the volume that a pixel is high and wide.
        is_exact: whether ``values`` are the volume's own, not rounded, not means.
    """

    values: np.ndarray
    origin: tuple[int, int]
    pixel: tuple[int, int]
    is_exact: bool


def read_slice(volumes: Sequence[ViewedVolume], query: SliceQuery, stopping: threading.Event) -> Slice:
    """Read a slice; only the chunks that it touches are decoded.

    Raises:
        FormatError: a chunk is missing or damaged.
        Stopped: ``stopping`` was set meanwhile.
    """
    chosen = [volumes[number] for number in query.volumes]
    region, scale = _region_of(chosen[0], query)
    stored = [_read_plane(volume, query, region, stopping) for volume in chosen]
    valid = np.logical_and.reduce(
        [volume.mark_valid(values) for volume, values in zip(chosen, stored, strict=True)]
    )
    values = stored[0] if len(stored) == 1 else subtract(*stored)
    step = choose_step(values.shape, query.most)
    if len(chosen) == 1 and chosen[0].is_categorical:
        values, valid = take_nearest(values, step), take_nearest(valid, step)
        shown = _as_pixels(values, valid)
    elif step == 1:
        shown = _as_pixels(values, valid)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            means = reduce_mean(np.where(valid, values.astype(np.float64), np.nan), step)
            shown = means.astype(np.float32)
    is_narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32
    origin = region[query.rows].start * scale[0], region[query.columns].start * scale[1]
    is_exact = step == 1 and query.level == "full" and is_narrow
    return Slice(shown, origin, (step * scale[0], step * scale[1]), is_exact)


def read_value(
    volumes: Sequence[ViewedVolume], chosen: Sequence[int], index: Sequence[int], stopping: threading.Event
) -> tuple[str, bool]:
    """Read one voxel, or the difference of two.

    Returns:
        The value, as many digits as tell it apart from others of its dtype, and whether it is a measurement.
    """
    region = tuple(slice(position, position + 1) for position in index)
    stored = [read_stoppable(volumes[number].levels["full"].store, region, stopping) for number in chosen]
    is_valid = all(
        volumes[number].mark_valid(values).item() for number, values in zip(chosen, stored, strict=True)
    )
    value = stored[0] if len(stored) == 1 else subtract(*stored)
    return str(value.reshape(-1)[0]), is_valid


def find_contrast(volume: ViewedVolume, stopping: threading.Event) -> dict[str, float]:
    """Find the range of a volume's values from slices through its middle.

    Returns:
        ``low`` and ``high``, percentiles of the valid values, and ``minimum`` and ``maximum``.
    """
    level = "preview" if "preview" in volume.levels else "full"
    spatial = volume.describe()["spatial"]
    index = tuple(side // 2 for side in volume.shape)
    pairs = [tuple(axis for axis in spatial if axis != left_out)[-2:] for left_out in spatial]
    pairs = [pair for pair in pairs if len(pair) == 2] or [tuple(spatial)]
    samples = []
    for rows, columns in pairs if level == "preview" else pairs[:1]:
        window = ((0, volume.shape[rows]), (0, volume.shape[columns]))
        query = SliceQuery((0,), level, rows, columns, index, window, _MOST_SIDE)
        samples.append(read_slice([volume], query, stopping).values.reshape(-1))
    return summarize(np.concatenate(samples))


def summarize(values: np.ndarray) -> dict[str, float]:
    """Return percentiles, minimum and maximum of the values that are no NaN; 0 to 1 where there are none."""
    numbers = values[~np.isnan(values)].astype(np.float64) if is_float(values.dtype) else values
    if not numbers.size:
        return {"low": 0.0, "high": 1.0, "minimum": 0.0, "maximum": 1.0}
    low, high = np.percentile(numbers, PERCENTILES)
    return {
        "low": float(low),
        "high": float(high),
        "minimum": float(numbers.min()),
        "maximum": float(numbers.max()),
    }


def subtract(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Subtract volumes: int64 of integers, exact where it holds the difference, else float64."""
    is_integer = first.dtype.kind in "iub" and second.dtype.kind in "iub"
    wide = np.int64 if is_integer else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        return first.astype(wide) - second.astype(wide)


def _region_of(volume: ViewedVolume, query: SliceQuery) -> tuple[Region, tuple[int, int]]:
    """Return the region of a level that a query asks for, and the level's scale along rows and columns."""
    level = volume.levels[query.level]
    parts = [slice(at // n, at // n + 1) for at, n in zip(query.index, level.scale, strict=True)]
    for axis, (start, stop) in zip((query.rows, query.columns), query.window, strict=True):
        n = level.scale[axis]
        parts[axis] = slice(start // n, -(-stop // n))
    return tuple(parts), (level.scale[query.rows], level.scale[query.columns])


def _read_plane(
    volume: ViewedVolume, query: SliceQuery, region: Region, stopping: threading.Event
) -> np.ndarray:
    """Read a region that is one voxel thick but for two axes, as (rows, columns)."""
    values = read_stoppable(volume.levels[query.level].store, region, stopping)
    others = [axis for axis in range(values.ndim) if axis not in (query.rows, query.columns)]
    planes = values.transpose(*others, query.rows, query.columns)
    return planes.reshape(planes.shape[-2:])


def _as_pixels(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return values as the page reads them."""
    if values.dtype in (np.uint8, np.bool_) and valid.all():
        return values.astype(np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(valid, values.astype(np.float32), np.float32(np.nan))
