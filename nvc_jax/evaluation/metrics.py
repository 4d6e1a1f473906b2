"""Quality measures of a decoded volume against its original, on the host in float64.

Every measure walks the volume in slabs along z, so that float64 copies never exceed a few slabs. A voxel
where the original is not finite cannot be compared: each function says whether it leaves such voxels out or
replaces them.
"""

import math

import numpy as np
from jax.typing import ArrayLike

from nvc_jax.core.errors import error_unit
from nvc_jax.core.shapes import check_shape
from nvc_jax.evaluation.volume_errors import VolumeErrors, measure_errors, slab_bounds

SLAB_VOXELS = 1 << 22
"""Voxels per slab, 32 MiB in float64; a slab is at least one plane."""

SSIM_WINDOW = 7
"""Side of the window of SSIM in voxels, the default of ``skimage.metrics.structural_similarity``."""

SSIM_K1, SSIM_K2 = 0.01, 0.03
"""Stabilising constants of SSIM, relative to the value range (Wang et al. 2004, Section III-B)."""


def mse(original: ArrayLike, decoded: ArrayLike, *, slab_voxels: int = SLAB_VOXELS) -> float:
    """Mean squared error over the voxels where the original is finite.

    Args:
        original: [depth, height, width], any real dtype.
        decoded: [depth, height, width].
        slab_voxels: number of voxels to process at a time; it bounds the memory.

    Returns:
        The error in squared units of the data; NaN if no voxel of the original is finite.

    Raises:
        ValueError: the shapes differ, have no three axes, or have an empty side.
    """
    return measure_errors(*_as_pair(original, decoded), slab_voxels).mse()


def psnr_db(original: ArrayLike, decoded: ArrayLike, *, slab_voxels: int = SLAB_VOXELS) -> float:
    """Peak signal-to-noise ratio in dB, relative to max − min of the finite original.

    Arguments and errors are those of `mse`.

    Returns:
        The ratio; inf if the MSE is 0, −inf if a constant original has errors, NaN if no voxel of the
        original is finite.
    """
    return measure_errors(*_as_pair(original, decoded), slab_voxels).psnr_db()


def max_error(original: ArrayLike, decoded: ArrayLike, *, slab_voxels: int = SLAB_VOXELS) -> float:
    """Largest absolute error, in units of the data; arguments, errors and NaN as for `mse`."""
    return measure_errors(*_as_pair(original, decoded), slab_voxels).max_error


def ssim(
    original: ArrayLike, decoded: ArrayLike, window: int = SSIM_WINDOW, *, slab_voxels: int = SLAB_VOXELS
) -> float:
    """Mean 3-D structural similarity: uniform window, K1 = 0.01, K2 = 0.03, sample covariance.

    The result equals ``skimage.metrics.structural_similarity`` in float64 with ``data_range`` = max − min of
    the finite original; half a window is cropped at the border. Voxels where the original is not finite are
    replaced in both volumes by the original's minimum.

    Args:
        original: [depth, height, width], any real dtype.
        decoded: [depth, height, width].
        window: odd side in voxels; shrinks to the largest odd number not above the volume's shortest side.
        slab_voxels: number of voxels to process at a time; it bounds the memory.

    Returns:
        The similarity, at most 1 (identical). For a constant original, 1 if the decoded volume equals it and
        0 otherwise. NaN if no voxel of the original is finite.

    Raises:
        ValueError: the shapes are as `mse` rejects them, or the window is not odd and positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"`window` (={window}) must be odd and positive")
    pair = _as_pair(original, decoded)
    windows = (min(window, *map(_largest_odd, pair[0].shape)),) * 3
    return _ssim(*pair, windows, measure_errors(*pair, slab_voxels), slab_voxels)


def border_jump(
    decoded: ArrayLike, block_size: int, *, slab_voxels: int = SLAB_VOXELS
) -> tuple[float, float]:
    """Mean absolute difference of neighbouring voxels across block borders and inside blocks.

    Pairs with a voxel that is not finite are left out.

    Args:
        decoded: [depth, height, width]; its blocks begin at voxel 0.
        block_size: side of the blocks in voxels.
        slab_voxels: number of voxels to process at a time; it bounds the memory.

    Returns:
        ``(across, inside)`` in units of the data: means per axis, averaged over the axes that have such
        pairs; NaN if no axis has any.

    Raises:
        ValueError: the volume has no three axes or an empty side, or the block size is not positive.
    """
    volume = np.asarray(decoded)
    check_shape(volume.shape, "decoded")
    if block_size < 1:
        raise ValueError(f"`block_size` (={block_size}) must be at least 1")

    sums, counts = np.zeros((3, 2)), np.zeros((3, 2), np.int64)  # [axis, (across, inside)]
    for start, stop in slab_bounds(volume.shape[0], volume[0].size, slab_voxels):
        slab = volume[start : stop + 1].astype(np.float64)  # one more plane: the pairs across slabs
        for axis in range(3):
            part = slab if axis == 0 else slab[: stop - start]
            with np.errstate(invalid="ignore"):
                jump = np.moveaxis(np.abs(np.diff(part, axis=axis)), axis, 0)
            first = start if axis == 0 else 0
            is_across = (np.arange(len(jump)) + first + 1) % block_size == 0
            for column, chosen in enumerate((is_across, ~is_across)):
                values = jump[chosen][np.isfinite(jump[chosen])]
                sums[axis, column] += values.sum()
                counts[axis, column] += values.size

    has_pairs = counts > 0
    totals = np.divide(sums, counts, out=np.zeros((3, 2)), where=has_pairs).sum(axis=0)
    n_axes = has_pairs.sum(axis=0)
    across, inside = (total / n if n else math.nan for total, n in zip(totals, n_axes, strict=True))
    return float(across), float(inside)


def bits_per_voxel(stored_bytes: int, n_voxels: int) -> float:
    """Stored bits per voxel: 8 · ``stored_bytes`` / ``n_voxels``; both must be at least 1."""
    if stored_bytes < 1 or n_voxels < 1:
        raise ValueError(f"`stored_bytes` (={stored_bytes}) and `n_voxels` (={n_voxels}) must be at least 1")
    return 8 * stored_bytes / n_voxels


def quality(
    original: ArrayLike,
    decoded: ArrayLike,
    stored_bytes: int,
    *,
    valid: np.ndarray | None = None,
    slab_voxels: int = SLAB_VOXELS,
) -> dict[str, float]:
    """Take all measures of one compressed volume in two passes.

    Args:
        original: [depth, height, width], or several such steps, [step, depth, height, width]; any real dtype.
            A depth of 1 among steps means planes.
        decoded: of the same shape.
        stored_bytes: size of the compressed volume; at least 1.
        valid: bool of the same shape, true for the values that count; None if all do.
        slab_voxels: number of voxels to process at a time; it bounds the memory.

    Returns:
        ``bits_per_voxel``; ``ratio``, the raw size in the original's dtype over ``stored_bytes``; ``mse``,
        ``psnr_db``, ``max_error`` and ``ssim`` as the functions of these names; SSIM is the mean of the
        steps' and relative to the range of all of them.

    Raises:
        ValueError: the shapes are as `mse` rejects them, or ``stored_bytes`` is below 1.
    """
    original, decoded = np.asarray(original), np.asarray(decoded)
    stacked = (array.reshape(-1, *array.shape[-2:]) for array in (original, decoded))
    marks = None if valid is None else valid.reshape(-1, *valid.shape[-2:])
    errors = measure_errors(*_as_pair(*stacked), slab_voxels, marks)
    valid_only = original if valid is None else np.where(valid, original, np.nan)
    has_steps = original.ndim > 3
    steps = (valid_only, decoded) if has_steps else (valid_only[None], decoded[None])
    sides = [n for n in steps[0].shape[1:] if n > 1 or not has_steps]
    window = min([SSIM_WINDOW, *map(_largest_odd, sides)])
    windows = tuple(1 if has_steps and n == 1 else window for n in steps[0].shape[1:])
    similarities = [_ssim(x, y, windows, errors, slab_voxels) for x, y in zip(*steps, strict=True)]
    return {
        "bits_per_voxel": bits_per_voxel(stored_bytes, original.size),
        "ratio": original.nbytes / stored_bytes,
        "mse": errors.mse(),
        "psnr_db": errors.psnr_db(),
        "max_error": errors.max_error,
        "ssim": sum(similarities) / len(similarities),
    }


def _as_pair(original: ArrayLike, decoded: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both volumes on the host in their own dtypes, checked to have one three-axis shape."""
    first, second = np.asarray(original), np.asarray(decoded)
    if first.shape != second.shape:
        raise ValueError(f"`original` has shape {first.shape} but `decoded` has shape {second.shape}")
    check_shape(first.shape, "original")
    return first, second


def _largest_odd(side: int) -> int:
    """Return the largest odd number not above a side."""
    return (side - 1) // 2 * 2 + 1


def _ssim(
    original: np.ndarray,
    decoded: np.ndarray,
    windows: tuple[int, ...],
    errors: VolumeErrors,
    slab_voxels: int,
) -> float:
    """Compute SSIM of a checked pair whose errors are known; ``windows`` are odd, and fit each axis."""
    if math.isnan(errors.value_range):
        return math.nan
    if errors.value_range == 0:  # both stabilising constants vanish and SSIM would be 0/0
        return 1.0 if errors.mse() == 0 else 0.0

    total, pad = 0.0, windows[0] // 2
    for start, stop in slab_bounds(original.shape[0] - 2 * pad, original[0].size, slab_voxels):
        # Each slab carries the planes that its windows reach, so that slabs do not show in the result.
        planes = slice(start, stop + 2 * pad)
        total += _ssim_sum(original[planes], decoded[planes], windows, errors)
    return total / math.prod(side - n + 1 for side, n in zip(original.shape, windows, strict=True))


def _ssim_sum(
    original: np.ndarray, decoded: np.ndarray, windows: tuple[int, ...], errors: VolumeErrors
) -> float:
    """Sum the similarity of all windows that lie inside a slab."""
    from scipy.ndimage import uniform_filter  # takes long to import, and only SSIM needs it

    # The similarity does not depend on the unit of the values; their squares must be in float64's range.
    unit = error_unit(errors.value_range)
    minimum, width = errors.minimum / unit, errors.value_range / unit
    c1, c2 = (SSIM_K1 * width) ** 2, (SSIM_K2 * width) ** 2
    # Factor of the sample covariance; a window of one voxel has no variance, whatever the factor.
    n_values = math.prod(windows)
    norm = n_values / max(n_values - 1, 1)
    inside = tuple(slice(n // 2, -(n // 2) or None) for n in windows)

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size=windows)[inside]

    x, y = original.astype(np.float64) / unit, decoded.astype(np.float64) / unit
    finite = np.isfinite(x)
    # Variances do not depend on an offset: relative to the minimum they lose no digits to a large one.
    with np.errstate(invalid="ignore", over="ignore"):  # decoded NaN or infinity: the result is NaN
        x, y = np.where(finite, x, minimum) - minimum, np.where(finite, y, minimum) - minimum
        ux, uy = mean(x), mean(y)
        vx = norm * (mean(x * x) - ux * ux)
        vy = norm * (mean(y * y) - uy * uy)
        vxy = norm * (mean(x * y) - ux * uy)
        ux, uy = ux + minimum, uy + minimum
        luminance = (2 * ux * uy + c1) / (ux * ux + uy * uy + c1)
        return float(np.sum(luminance * ((2 * vxy + c2) / (vx + vy + c2))))
