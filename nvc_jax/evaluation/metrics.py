"""Quality measures between a volume and its decoded copy, on the host in float64.

Every measure walks the volume in slabs along z, so that float64 copies never exceed a few slabs. Voxels
where the original is not finite carry no signal to compare: see each function for what becomes of them.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from scipy.ndimage import uniform_filter

from nvc_jax.core.shapes import check_shape

SLAB_VOXELS = 1 << 22
"""Voxels per slab, 32 MiB in float64; a slab is at least one plane."""


class _Errors(NamedTuple):
    """Results of one pass over the finite voxels; all NaN where no voxel is finite."""

    mse: float
    max_error: float
    minimum: float
    maximum: float

    def psnr_db(self) -> float:
        if self.mse == 0:
            return math.inf
        if self.maximum == self.minimum:
            return -math.inf
        return 20 * math.log10(self.maximum - self.minimum) - 10 * math.log10(self.mse)


def _pair(original: ArrayLike, decoded: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both volumes on the host in their own dtypes, checked to have one three-axis shape."""
    first, second = np.asarray(original), np.asarray(decoded)
    if first.shape != second.shape:
        raise ValueError(f"`original` has shape {first.shape} but `decoded` has shape {second.shape}")
    check_shape(first.shape, "original")
    return first, second


def _slabs(depth: int, plane_voxels: int) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` of slabs that cover ``depth`` planes."""
    step = max(1, SLAB_VOXELS // plane_voxels)
    for start in range(0, depth, step):
        yield start, min(start + step, depth)


def _errors(original: np.ndarray, decoded: np.ndarray) -> _Errors:
    count, total, largest, minimum, maximum = 0, 0.0, 0.0, math.inf, -math.inf
    for start, stop in _slabs(original.shape[0], original[0].size):
        x = original[start:stop].astype(np.float64)
        finite = np.isfinite(x)
        x, y = x[finite], decoded[start:stop].astype(np.float64)[finite]
        if x.size == 0:
            continue
        # A decoded infinity or an error beyond the square root of float64's range is an infinite error.
        with np.errstate(over="ignore"):
            error = np.abs(y - x)
            total += float(np.sum(error * error))
        # np.maximum keeps a NaN (a decoded NaN), which Python's max may lose.
        largest = float(np.maximum(largest, error.max()))
        minimum, maximum = min(minimum, float(x.min())), max(maximum, float(x.max()))
        count += x.size
    if count == 0:
        return _Errors(*[math.nan] * 4)
    return _Errors(total / count, largest, minimum, maximum)


def mse(original: ArrayLike, decoded: ArrayLike) -> float:
    """Mean squared error over the voxels where the original is finite.

    Args:
        original: [depth, height, width], any real dtype.
        decoded: [depth, height, width].

    Returns:
        The error in squared units of the data; NaN where no voxel of the original is finite.
    """
    return _errors(*_pair(original, decoded)).mse


def psnr_db(original: ArrayLike, decoded: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB, 20·log10(max − min of the finite original) − 10·log10(MSE).

    Arguments and NaN as for `mse`; inf where the MSE is 0, −inf where a constant original has errors.
    """
    return _errors(*_pair(original, decoded)).psnr_db()


def max_error(original: ArrayLike, decoded: ArrayLike) -> float:
    """Largest absolute error, in units of the data; arguments and NaN as for `mse`."""
    return _errors(*_pair(original, decoded)).max_error


def _ssim(original: np.ndarray, decoded: np.ndarray, window: int, errors: _Errors) -> float:
    minimum, value_range = errors.minimum, errors.maximum - errors.minimum
    if math.isnan(value_range):
        return math.nan
    if value_range == 0:  # both constants vanish and SSIM would be 0/0
        return 1.0 if errors.mse == 0 else 0.0
    window = min(window, (min(original.shape) - 1) // 2 * 2 + 1)
    pad = window // 2
    # Sample covariance; a window of one voxel has no variance, whatever the factor.
    norm = window**3 / max(window**3 - 1, 1)
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size=window)[(slice(pad, -pad or None),) * 3]

    total = 0.0
    for start, stop in _slabs(original.shape[0] - 2 * pad, original[0].size):
        # Each slab carries the planes that its windows reach, so that slabs do not show in the result.
        x, y = (v[start : stop + 2 * pad].astype(np.float64) for v in (original, decoded))
        finite = np.isfinite(x)
        # Variances do not depend on an offset: taken from the minimum they lose no digits to a large one.
        x, y = np.where(finite, x, minimum) - minimum, np.where(finite, y, minimum) - minimum
        with np.errstate(invalid="ignore", over="ignore"):  # decoded NaN or infinity: the result is NaN
            ux, uy = mean(x), mean(y)
            vx = norm * (mean(x * x) - ux * ux)
            vy = norm * (mean(y * y) - uy * uy)
            vxy = norm * (mean(x * y) - ux * uy)
            ux, uy = ux + minimum, uy + minimum
            luminance = (2 * ux * uy + c1) / (ux * ux + uy * uy + c1)
            total += float(np.sum(luminance * ((2 * vxy + c2) / (vx + vy + c2))))
    return total / math.prod(side - 2 * pad for side in original.shape)


def ssim(original: ArrayLike, decoded: ArrayLike, window: int = 7) -> float:
    """Mean 3-D structural similarity: uniform window, K1 = 0.01, K2 = 0.03, sample covariance.

    Equals ``skimage.metrics.structural_similarity`` in float64 with ``data_range`` = max − min of the
    finite original; half a window is cropped at the border. Voxels where the original is not finite are
    replaced in both volumes by the original's minimum.

    Args:
        original: [depth, height, width], any real dtype.
        decoded: [depth, height, width].
        window: odd side in voxels; shrinks to the largest odd number not above the volume's shortest side.

    Returns:
        At most 1 (identical). For a constant original 1 if the decoded volume equals it, else 0; NaN where
        no voxel of the original is finite.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"`window` (={window}) must be odd and positive")
    pair = _pair(original, decoded)
    return _ssim(*pair, window, _errors(*pair))


def border_jump(decoded: ArrayLike, block_size: int) -> tuple[float, float]:
    """Mean absolute difference of neighbouring voxels across block borders and inside blocks.

    ``decoded`` is [depth, height, width]; its blocks have sides of ``block_size`` voxels from voxel 0 on.
    Returns ``(across, inside)`` in units of the data: means per axis, averaged over the axes with such
    pairs; NaN without any. Pairs with a voxel that is not finite are left out.
    """
    volume = np.asarray(decoded)
    check_shape(volume.shape, "decoded")
    if block_size < 1:
        raise ValueError(f"`block_size` (={block_size}) must be at least 1")
    sums, counts = np.zeros((3, 2)), np.zeros((3, 2), np.int64)
    for start, stop in _slabs(volume.shape[0], volume[0].size):
        slab = volume[start : stop + 1].astype(np.float64)  # one plane more: the pairs across slabs
        for axis in range(3):
            part = slab if axis == 0 else slab[: stop - start]
            with np.errstate(invalid="ignore"):
                jump = np.moveaxis(np.abs(np.diff(part, axis=axis)), axis, 0)
            across = (np.arange(len(jump)) + (start if axis == 0 else 0) + 1) % block_size == 0
            for kind, chosen in enumerate((across, ~across)):
                values = jump[chosen][np.isfinite(jump[chosen])]
                sums[axis, kind] += values.sum()
                counts[axis, kind] += values.size
    used = counts > 0
    means = np.divide(sums, counts, out=np.zeros((3, 2)), where=used).sum(axis=0)
    across_mean, inside_mean = (m / n if n else math.nan for m, n in zip(means, used.sum(0), strict=True))
    return float(across_mean), float(inside_mean)


def bits_per_voxel(stored_bytes: int, n_voxels: int) -> float:
    """Stored bits per voxel: 8 · ``stored_bytes`` / ``n_voxels``; both must be at least 1."""
    if stored_bytes < 1 or n_voxels < 1:
        raise ValueError(f"`stored_bytes` (={stored_bytes}) and `n_voxels` (={n_voxels}) must be at least 1")
    return 8 * stored_bytes / n_voxels


def quality(original: ArrayLike, decoded: ArrayLike, stored_bytes: int) -> dict[str, float]:
    """All measures of one volume compressed to ``stored_bytes``, by name; volumes as for `mse`.

    ``ratio`` is the raw size in the original's dtype over ``stored_bytes``.
    """
    errors = _errors(*(pair := _pair(original, decoded)))
    measures = {"bits_per_voxel": bits_per_voxel(stored_bytes, pair[0].size)}
    measures |= {"ratio": pair[0].nbytes / stored_bytes, "mse": errors.mse, "psnr_db": errors.psnr_db()}
    return measures | {"max_error": errors.max_error, "ssim": _ssim(*pair, 7, errors)}
