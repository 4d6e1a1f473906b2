"""Exact values: valid values that a chunk takes very often, told apart from the rest by labels.

Land of 0, an empty background or a saturated 1 ends at a sharp border, which costs a transform many bits.
With such values taken out, the body sees a smooth continuation of the rest instead, and they come back bit
for bit. They remain valid: they count in the range, in the PSNR and in the largest error of a payload.
"""

from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.sampled_values import find_peaks
from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.core.slabs import slabs
from nvc_jax.native.exact_values import count_patterns
from nvc_jax.native.exact_values import sum_jumps as native_jumps
from nvc_jax.native.host_kernels import has_host_kernels, serves

_MAX_VALUES = 8
"""Largest number of exact values of a chunk."""
_SAMPLE_SIZE = 1 << 14
"""Approximate number of values among which frequent ones are looked for."""
_MIN_SHARE = 0.03
"""Share of the chunk that a value must have to be worth its labels."""
_MIN_PEAK = 4.0
"""Ratio of a value's count to those of the next smaller and larger value: a peak, not a part of a smooth
distribution of few values."""
_MIN_JUMP = 1.75
"""Jump below which the border of a value is no cut: without the value the rest would be coded worse."""
LINE_DISTANCE = 3
"""Distance of the lines in which jumps are measured, in voxels."""


class ExactValues(NamedTuple):
    """Values of a chunk that may be worth telling apart.

    Attributes:
        patterns: unsigned integers (n,), their bit patterns, the most frequent ones first.
        jump: smallest of their jumps, see ``_jumps``; infinite where there are no such values.
    """

    patterns: np.ndarray
    jump: float


def required_patterns(chunk: ChunkValues, exact_values: tuple[float, ...]) -> np.ndarray:
    """Bit patterns of a chunk's valid values that must come back exactly: unsigned integers (n,)."""
    bits = bit_patterns(chunk.values)
    if not exact_values:
        return bits.reshape(-1)[:0]
    # 0 has two patterns.
    return np.unique(bits[chunk.valid & np.isin(chunk.values, np.array(exact_values, chunk.values.dtype))])


def find_exact_values(chunk: ChunkValues) -> ExactValues:
    """Find the values that a chunk takes very often and that end at sharp borders."""
    bits = bit_patterns(chunk.values)
    patterns = _find_frequent(chunk, bits)
    if not patterns.size:
        return ExactValues(patterns, np.inf)
    jumps = _jumps(chunk, patterns)
    is_sharp = jumps >= _MIN_JUMP
    return ExactValues(patterns[is_sharp], float(jumps[is_sharp].min(initial=np.inf)))


def _find_frequent(chunk: ChunkValues, bits: np.ndarray) -> np.ndarray:
    """Find the bit patterns of values that a chunk takes far more often than those next to them."""
    patterns = find_peaks(chunk, _SAMPLE_SIZE, _MIN_SHARE / 2, _MIN_PEAK)
    if not patterns.size:
        return patterns
    # Values of one bit pattern are all valid, or none is.
    totals = _count(bits, patterns)
    order = np.argsort(-totals, kind="stable")[:_MAX_VALUES]
    return patterns[order[totals[order] >= _MIN_SHARE * bits.size]]


def _count(bits: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Count the values of each bit pattern, int64 (n,)."""
    if bits.dtype == np.uint32 and has_host_kernels():
        return count_patterns(bits, patterns)
    parts = [bits[slab] for slab in slabs(bits.shape)]
    return np.array([sum(np.count_nonzero(part == one) for part in parts) for one in patterns], np.int64)


@np.errstate(over="ignore", invalid="ignore")
def _jumps(chunk: ChunkValues, patterns: np.ndarray) -> np.ndarray:
    """Compare the step at the border of each exact value with the next one, between ordinary values.

    Args:
        chunk: the values.
        patterns: (n,), bit patterns of the exact values.

    Returns:
        float64 (n,), the ratios of their means, in lines through the chunk: about 1 where ordinary values run
        smoothly into the exact one, large at a cut. Infinite where the exact value has no border.
    """
    if serves(chunk.values.dtype):
        at_border, beyond = native_jumps(chunk.values, chunk.valid, patterns, LINE_DISTANCE)
    else:
        at_border, beyond = sum_jumps(chunk.values, chunk.valid, patterns)
    return np.divide(at_border, beyond, out=np.full(len(patterns), np.inf), where=beyond != 0)


@np.errstate(over="ignore", invalid="ignore")
def sum_jumps(values: np.ndarray, valid: np.ndarray, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the steps at the borders of exact values, and those that follow: the specification of the kernel.

    Args:
        values: (z, y, x), of any dtype.
        valid: bool, of the same shape.
        patterns: (n,), bit patterns of the exact values.

    Returns:
        float64 (n,) each.
    """
    at_border, beyond = np.zeros((2, len(patterns)))
    for axis in range(3):
        lines = tuple(slice(None, None, 1 if other == axis else LINE_DISTANCE) for other in range(3))
        in_lines = np.ascontiguousarray(values[lines])
        own = bit_patterns(in_lines)
        ordinary = valid[lines] & ~_are_among(own, patterns)
        pairs = _part(ordinary, axis, 0, -1) & _part(ordinary, axis, 1, None)
        next_value = in_lines.strides[axis] // in_lines.itemsize
        for i, pattern in enumerate(patterns):
            exact = own == pattern
            after = _part(exact, axis, 0, -2) & _part(pairs, axis, 1, None)
            before = _part(exact, axis, 2, None) & _part(pairs, axis, 0, -1)
            for found, at_first in ((after, True), (before, False)):
                is_start = np.zeros(own.shape, bool)
                _part(is_start, axis, 0, -2)[...] = found
                first, second = _steps(in_lines.reshape(-1), np.flatnonzero(is_start), next_value)
                at_border[i] += float((first if at_first else second).sum())
                beyond[i] += float((second if at_first else first).sum())
    return at_border, beyond


def _steps(values: np.ndarray, start: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps between three values in turn, from ``start`` on: float64, the first and the second."""
    one, two, three = (values[start + k * distance].astype(np.float64) for k in range(3))
    return np.abs(two - one), np.abs(three - two)


def _are_among(bits: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Mark the values of some few bit patterns; NumPy's search in sets takes several times as long."""
    found = bits == patterns[0] if patterns.size else np.zeros(bits.shape, bool)
    for pattern in patterns[1:]:
        found |= bits == pattern
    return found


def _part(array: np.ndarray, axis: int, start: int, stop: int | None) -> np.ndarray:
    """Part of an array along an axis."""
    return array[(slice(None),) * axis + (slice(start, stop),)]


def without_exact_values(chunk: ChunkValues, patterns: np.ndarray) -> ChunkValues:
    """Leave out exact values: those that remain valid are the ones that the body codes."""
    remains = chunk.valid & ~_are_among(bit_patterns(chunk.values), patterns)
    return ChunkValues.of_valid(chunk.values, remains)
