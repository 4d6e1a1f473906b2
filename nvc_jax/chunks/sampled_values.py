"""Samples of a chunk's valid values: how many different ones there are, and which are very frequent."""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.core.dtypes import is_float
from nvc_jax.core.searching import different_integers
from nvc_jax.core.systematic_sampling import scatter
from nvc_jax.native import sampled_values as kernels
from nvc_jax.native.host_kernels import serves


def draw_values(chunk: ChunkValues, n_places: int) -> np.ndarray:
    """Draw the valid ones of the values at about so many places, spread over a chunk: (n,)."""
    places = scatter(chunk.values.size, n_places)
    return chunk.values.reshape(-1)[places][chunk.valid.reshape(-1)[places]]


def has_more_different(chunk: ChunkValues, n_places: int, most: int) -> bool:
    """Tell whether a sample has more different values, by their bit patterns, than so many.

    Args:
        chunk: the values.
        n_places: number of places in the chunk, all if it has fewer.
        most: number of different values.
    """
    if serves(chunk.values.dtype):
        places = scatter(chunk.values.size, n_places)
        return kernels.count_different(chunk.values, chunk.valid, places, most) > most
    return len(different_integers(bit_patterns(draw_values(chunk, n_places)))) > most


def find_peaks(chunk: ChunkValues, n_places: int, share: float, ratio: float) -> np.ndarray:
    """Find the values of a sample that are far more frequent than those next to them.

    Args:
        chunk: the values.
        n_places: number of places in the chunk, all if it has fewer.
        share: of the sample that such a value has at least.
        ratio: of its count to those of the next smaller and larger value of the sample, at least.

    Returns:
        Unsigned integers (n,), bit patterns in ascending order of the values; of both zeros that of the more
        frequent one.
    """
    if serves(chunk.values.dtype):
        places = scatter(chunk.values.size, n_places)
        return kernels.find_peaks(chunk.values, chunk.valid, places, share, ratio)
    return peaks_among(draw_values(chunk, n_places), share, ratio)


def peaks_among(sample: np.ndarray, share: float, ratio: float) -> np.ndarray:
    """Find such values among those of a sample, (n,): the specification of the kernel."""
    values, counts = np.unique(sample, return_counts=True)
    beside = np.maximum(np.append(counts[1:], 0), np.insert(counts[:-1], 0, 0)) if counts.size else counts
    is_peak = (counts >= share * len(sample)) & (counts >= ratio * beside)
    peaks = values[is_peak]
    is_zero = (peaks == 0) & is_float(peaks.dtype)
    if is_zero.any():
        is_negative = np.signbit(sample[sample == 0])
        peaks[is_zero] = -0.0 if 2 * np.count_nonzero(is_negative) > is_negative.size else 0.0
    return bit_patterns(peaks)
