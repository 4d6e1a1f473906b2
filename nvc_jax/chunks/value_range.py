"""One pass over a volume that may be larger than memory: its range, and its fill values."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nvc_jax.chunks.special_values import all_finite, valid_mask

_MIN_SHARE = 0.01
_MIN_GAP = 3.0
_N_ENDS = 3
"""So many distinct values at either end tell what two fill values leave of the range."""


@dataclasses.dataclass(frozen=True)
class ValueRange:
    """What a pass over a volume found.

    Attributes:
        low, high: the range of what is valid; (0, 0) where nothing is.
        missing_values: those that were named, and those that were found.
    """

    low: float
    high: float
    missing_values: tuple[float, ...]


def find_value_range(parts: Iterable[np.ndarray], missing_values: Sequence[float] = ()) -> ValueRange:
    """Find a volume's range and its fill values.

    A fill value is the smallest or the largest, stands for 1 % of the volume or more, and is further from
    the next value than three times the range of all others.

    Args:
        parts: what together is the volume.
        missing_values: values that are known to be no measurements.
    """
    lowest: dict[float, int] = {}
    highest: dict[float, int] = {}
    n_voxels = 0
    for part in parts:
        n_voxels += part.size
        values = _ordinary_values(part, missing_values)
        _count_ends(lowest, values, np.min)
        _count_ends(highest, values, np.max)
    counts = lowest | highest
    found = dict.fromkeys(value for value in map(float, missing_values) if math.isfinite(value))
    for _ in range(2):
        fill = _find_fill(counts, n_voxels)
        if fill is None:
            break
        del counts[fill]
        found[fill] = None
    return ValueRange(min(counts, default=0.0), max(counts, default=0.0), tuple(found))


def _ordinary_values(part: np.ndarray, missing_values: Sequence[float]) -> np.ndarray:
    if not missing_values and (part.dtype.kind != "f" or all_finite(part)):
        return part.reshape(-1)
    return part[valid_mask(part, missing_values)]


def _count_ends(counts: dict[float, int], values: np.ndarray, extreme: Callable) -> None:
    """Count what lies at one end of ``values``; of all that was counted only what lies there is kept."""
    for _ in range(_N_ENDS):
        if values.size == 0:
            return
        value = extreme(values)
        kept = sorted({*counts, float(value)}, reverse=extreme is np.max)[:_N_ENDS]
        if float(value) not in kept:
            return
        others = values[values != value]
        counted = counts | {float(value): counts.get(float(value), 0) + values.size - others.size}
        counts.clear()
        counts.update({key: counted[key] for key in kept})
        values = others


def _find_fill(counts: dict[float, int], n_voxels: int) -> float | None:
    for fill in (min(counts, default=None), max(counts, default=None)):
        others = counts.keys() - {fill}
        if fill is None or not others or counts[fill] < _MIN_SHARE * n_voxels:
            continue
        low, high = min(others), max(others)
        gap = low - fill if fill < low else fill - high
        if gap > _MIN_GAP * max(high - low, np.finfo(np.float64).tiny):
            return fill
    return None
