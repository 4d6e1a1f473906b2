"""Exact values: valid values that a chunk takes very often, told apart from the rest by labels.

Land of 0, an empty background or a saturated 1 ends at a sharp border, which costs a transform many bits.
With such values taken out, the body sees a smooth continuation of the rest instead, and they come back bit
for bit. They remain valid: they count in the range, in the PSNR and in the largest error of a payload.
"""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.special_values import bit_patterns, valid_range

_MAX_VALUES = 8
"""Largest number of exact values of a chunk."""
_SAMPLE_SIZE = 1 << 14
"""Approximate number of values among which frequent ones are looked for."""
_MIN_SHARE = 0.03
"""Share of the chunk that a value must have to be worth its labels."""
_MIN_PEAK = 4.0
"""Ratio of a value's count to those of the next smaller and larger value: a peak, not a part of a smooth
distribution of few values."""


def find_exact_values(chunk: ChunkValues) -> np.ndarray:
    """Find the values that a chunk takes far more often than those next to them.

    Returns:
        Their bit patterns, unsigned integers (n,), the most frequent ones first; empty where there is none.
    """
    bits = bit_patterns(chunk.values)
    sample = chunk.values.reshape(-1)[:: max(1, chunk.values.size // _SAMPLE_SIZE)]
    sample = sample[chunk.valid.reshape(-1)[:: max(1, chunk.values.size // _SAMPLE_SIZE)]]
    values, counts = np.unique(sample, return_counts=True)
    if not counts.size:
        return bits.reshape(-1)[:0]
    beside = np.maximum(np.append(counts[1:], 0), np.insert(counts[:-1], 0, 0))
    is_peak = (counts >= _MIN_SHARE * len(sample) / 2) & (counts >= _MIN_PEAK * beside)
    patterns = bit_patterns(values[is_peak])
    totals = np.array([np.count_nonzero(chunk.valid & (bits == pattern)) for pattern in patterns], int)
    order = np.argsort(-totals, kind="stable")[:_MAX_VALUES]
    return patterns[order[totals[order] >= _MIN_SHARE * bits.size]]


def without_exact_values(chunk: ChunkValues, patterns: np.ndarray) -> ChunkValues:
    """Leave out exact values: those that remain valid are the ones that the body codes."""
    remains = chunk.valid & ~np.isin(bit_patterns(chunk.values), patterns)
    return ChunkValues(chunk.values, remains, *valid_range(chunk.values, remains))
