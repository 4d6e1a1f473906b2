"""Curves of an excerpt: histograms of values and errors, and power spectra."""

from typing import NamedTuple

import numpy as np
from scipy import fft

from nvc_jax.core.slabs import slabs

_ERROR_BINS, _VALUE_BINS = 121, 96
"""Bins of the histograms; an odd number of errors', so that 0 is in the middle of one."""
_MOST_FREQUENCIES = 96
"""Shells of wave numbers of a spectrum."""
_MOST_ELONGATED = 4
"""Ratio of the longest axis to the shortest along which a spectrum is taken."""
_MOST_POWER = 1e300
"""Power that can be drawn: that of values beyond about 1e150 is no float64."""
_NYQUIST = 0.5
"""Largest frequency along an axis, in cycles a voxel."""


class Histogram(NamedTuple):
    """Counts of values.

    Attributes:
        edges: of the bins, float64 (n + 1,).
        counts: int64 (n,).
    """

    edges: np.ndarray
    counts: np.ndarray


class Spectrum(NamedTuple):
    """Power by frequency.

    Attributes:
        frequencies: cycles a voxel, float64 (n,).
        power: mean squared magnitude of the Fourier coefficients at each, float64 (n,).
    """

    frequencies: np.ndarray
    power: np.ndarray


def error_histogram(errors: np.ndarray, limit: float) -> Histogram:
    """Count errors.

    Args:
        errors: float64; NaN counts nowhere.
        limit: errors from −limit to limit are counted; 0 for those of exact copies.
    """
    return _count(errors, np.linspace(-1, 1, _ERROR_BINS + 1) * (limit or 1.0))


def value_histogram(values: np.ndarray, low: float, high: float) -> Histogram:
    """Count values from ``low`` to ``high``; NaN counts nowhere."""
    return _count(values, np.linspace(low, high if high > low else low + 1, _VALUE_BINS + 1))


def _count(values: np.ndarray, edges: np.ndarray) -> Histogram:
    """Count the finite values between edges."""
    counts = np.zeros(len(edges) - 1, np.int64)
    for slab in slabs(values.shape):
        part = values[slab]
        counts += np.histogram(part[np.isfinite(part)], edges)[0]
    return Histogram(edges, counts)


def power_spectrum(values: np.ndarray) -> Spectrum:
    """Average the power of Fourier coefficients over directions, in shells of one width.

    A Hann window along each axis keeps the ends of the volume from showing. Axes that are much shorter than
    the longest have few frequencies, and are averaged over instead. The mean is subtracted, and stands where
    values are not finite.

    Args:
        values: float64 (z, y, x).
    """
    finite = np.isfinite(values)
    mean = values[finite].mean() if finite.any() else 0.0
    centred = np.where(finite, values - mean, 0)
    unit = float(np.abs(centred).max(initial=0)) or 1.0  # whose squares float32 may not hold
    centred = (centred / unit).astype(np.float32)
    axes = [axis for axis, side in enumerate(values.shape) if side >= max(values.shape) / _MOST_ELONGATED]
    squares = np.zeros([1, 1, 1], np.float32)
    for axis in axes:
        side, along = values.shape[axis], [-1 if other == axis else 1 for other in range(3)]
        centred *= np.hanning(side + 2)[1:-1].astype(np.float32).reshape(along)
        frequencies = fft.rfftfreq(side) if axis == axes[-1] else fft.fftfreq(side)
        squares = squares + np.square(frequencies.astype(np.float32)).reshape(along)
    power = np.square(np.abs(fft.rfftn(centred, axes=axes, overwrite_x=True)))
    power = power.mean(axis=tuple(axis for axis in range(3) if axis not in axes), keepdims=True)
    n_shells = min(_MOST_FREQUENCIES, max(max(values.shape) // 2, 1))
    shells = np.floor(np.sqrt(squares) / _NYQUIST * n_shells).astype(np.int32).reshape(-1)
    counts = np.bincount(shells, minlength=n_shells)[:n_shells]
    sums = np.bincount(shells, weights=power.reshape(-1), minlength=n_shells)[:n_shells]
    centres = (np.arange(n_shells) + 0.5) / n_shells * _NYQUIST
    kept = counts > 0
    with np.errstate(over="ignore"):
        means = sums[kept] / counts[kept] / values.size * unit * unit
    return Spectrum(centres[kept], np.minimum(means, _MOST_POWER))
