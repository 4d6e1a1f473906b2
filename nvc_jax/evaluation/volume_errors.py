"""Errors of a decoded volume, measured in one pass in slabs along z."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nvc_jax.core.dtypes import is_long_integer, number_of
from nvc_jax.core.errors import error_unit, largest_and_squared_errors, psnr_from_errors


class VolumeErrors(NamedTuple):
    """Errors and value range of the voxels where the original is finite.

    Attributes:
        squared_sum: sum of squared errors, in squared units of ``unit``.
        n_voxels: number of finite voxels; if it is 0, every measure is NaN.
        max_error: largest absolute error.
        minimum, maximum: range of the original.
        unit: of the squared errors, in units of the data: 1 unless their squares are beyond float64's range.
    """

    squared_sum: float
    n_voxels: int
    max_error: float
    minimum: float
    maximum: float
    unit: float = 1.0

    @property
    def value_range(self) -> float:
        return self.maximum - self.minimum

    def mse(self) -> float:
        return self.squared_sum / self.n_voxels * self.unit * self.unit if self.n_voxels else math.nan

    def psnr_db(self) -> float:
        if self.n_voxels == 0:
            return math.nan
        return psnr_from_errors(self.value_range / self.unit, [(self.squared_sum, self.n_voxels)])


def slab_bounds(depth: int, plane_voxels: int, slab_voxels: int) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` of slabs that cover ``depth`` planes."""
    step = max(1, slab_voxels // plane_voxels)
    for start in range(0, depth, step):
        yield start, min(start + step, depth)


def measure_errors(
    original: np.ndarray,
    decoded: np.ndarray,
    slab_voxels: int,
    valid: np.ndarray | None = None,
    unit: float = 1.0,
) -> VolumeErrors:
    """Measure the errors of a volume in one pass, or in two where their squares are beyond float64's range.

    Args:
        original: (z, y, x).
        decoded: of the same shape.
        slab_voxels: voxels to process at a time.
        valid: bool of the same shape, the values that count; None for all.
        unit: of the squared errors, which the second pass knows.
    """
    n_voxels, squared_sum, largest, minimum, maximum = 0, 0.0, 0.0, math.inf, -math.inf
    for start, stop in slab_bounds(original.shape[0], original[0].size, slab_voxels):
        x, y = original[start:stop], decoded[start:stop]
        if not is_long_integer(x.dtype):  # of which float64 does not hold every value
            x, y = x.astype(np.float64), y.astype(np.float64)
        counted = np.isfinite(x) if valid is None else np.isfinite(x) & valid[start:stop]
        x, y = x[counted], y[counted]
        if x.size == 0:
            continue
        slab_largest, (slab_sum, slab_count) = largest_and_squared_errors(x, y, None, unit)
        squared_sum += slab_sum
        n_voxels += slab_count
        # np.maximum keeps a NaN (a decoded NaN), which Python's max may lose.
        largest = float(np.maximum(largest, slab_largest))
        minimum, maximum = min(minimum, number_of(x.min())), max(maximum, number_of(x.max()))
    if n_voxels == 0:
        return VolumeErrors(math.nan, 0, math.nan, math.nan, math.nan)
    if unit == 1 and (largest_unit := error_unit(largest)) != 1:
        return measure_errors(original, decoded, slab_voxels, valid, largest_unit)
    return VolumeErrors(squared_sum, n_voxels, largest, minimum, maximum, unit)
