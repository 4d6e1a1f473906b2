"""Estimate of the bits and errors of a volume on a lattice, from samples of its points."""

from typing import NamedTuple

import numpy as np

from nvc_jax.lattice.geometry import FAR_GROUPS, KNOWN_GROUPS, N_GROUPS, N_LEVEL_GROUPS
from nvc_jax.lattice.prediction import ACTIVITY_THRESHOLDS, WEIGHT_BITS, closeness
from nvc_jax.lattice.samples import ROWS, SAMPLES_PER_ROW, SUM_BITS, Samples

N_CONTEXTS, N_CLASSES = len(ACTIVITY_THRESHOLDS) + 1, 32
"""Contexts and classes of codes that are counted."""
COST_BITS = 8
"""Fraction bits of costs."""
_ACTIVITY_BITS = 5
"""Fraction bits of ACTIVITY_THRESHOLDS, which are in steps of the codes."""
_SHARE_OF_LEVEL = (7 / 8, 7 / 64, 1 / 64)
"""Share of the volume's points that each group of levels has."""
_LEAST_SAMPLES = 200
"""Samples of the finest level without which there is no estimate."""
_MOST_SAMPLES = len(KNOWN_GROUPS) * SAMPLES_PER_ROW[0]
"""Most samples of the finest level."""
_TIMES_LOGARITHM = np.arange(_MOST_SAMPLES + 1) * np.log2(np.maximum(np.arange(_MOST_SAMPLES + 1), 1))
"""Numbers of samples times their binary logarithms."""
_CLASSES = np.arange(N_CLASSES)
_FURTHER_BITS = np.where(_CLASSES < 8, 0, _CLASSES - 5) + (_CLASSES > 0)
"""Bits of a code's sign and rest by its class."""


class Counts(NamedTuple):
    """Costs and codes of the samples, given some weights.

    Attributes:
        n_samples: int32 (len(ROWS),), samples of each row.
        costs: int32 (len(ROWS),), about the bits of each row's codes, in fixed point.
        histogram: int32 (N_CONTEXTS, N_CLASSES), codes of the finest level by their context and the class of
            their magnitude.
        squared_error: int32, sum over the finest level, in squared units of the fixed point.
    """

    n_samples: np.ndarray
    costs: np.ndarray
    histogram: np.ndarray
    squared_error: np.ndarray


class Estimate(NamedTuple):
    """Estimated bits of a volume on a lattice, and sum of squared errors in squared units of the values."""

    bits: float
    squared_error: float


def count_codes(samples: Samples, rows: np.ndarray, fraction_bits: int) -> Counts:
    """Predict samples and count the codes.

    Args:
        samples: of all rows.
        rows: int32 (len(ROWS), N_GROUPS), weights.
        fraction_bits: of the samples; a step of the codes is 2**fraction_bits.
    """
    costs, squared_error = np.zeros(len(ROWS), np.int32), 0
    histogram = np.zeros((N_CONTEXTS, N_CLASSES), np.int32)
    for row, (level, number) in enumerate(ROWS):
        targets, sums = samples.of_row(row)
        weights = rows[row][[group.number for group in KNOWN_GROUPS[number]]]
        shift = WEIGHT_BITS + SUM_BITS
        predicted = sums @ weights + (1 << shift >> 1) >> shift
        residual = targets - predicted
        costs[row] = _log2(np.maximum(2 * np.abs(residual.astype(np.int64)), 1 << fraction_bits)).sum()
        if level == 0:
            half = (1 << fraction_bits) >> 1
            codes = residual + half >> fraction_bits
            squared_error += int(np.square(residual - (codes << fraction_bits), dtype=np.int64).sum())
            contexts = _contexts(sums, predicted, number, fraction_bits)
            np.add.at(histogram, (contexts, _classes(codes)), 1)
    return Counts(samples.counts, costs, histogram, np.array(squared_error, np.int32))


def near_factors(number: int) -> np.ndarray:
    """Factor of each group of neighbours in the activity of a phase, int32 (N_GROUPS,)."""
    factors = np.zeros(N_GROUPS, np.int32)
    for group in KNOWN_GROUPS[number]:
        if group.number not in FAR_GROUPS:
            factors[group.number] = closeness(group) * len(group.neighbours)
    return factors


def _contexts(sums: np.ndarray, predicted: np.ndarray, number: int, fraction_bits: int) -> np.ndarray:
    """Context of each sample: the mean difference of near neighbours from the prediction, quantised."""
    factors = near_factors(number)
    known = factors[[group.number for group in KNOWN_GROUPS[number]]]
    differences = np.abs(sums - (predicted << SUM_BITS)[:, None]).astype(np.int64)
    limits = [
        max((limit * int(factors.sum()) << fraction_bits) >> _ACTIVITY_BITS, 1) << SUM_BITS
        for limit in ACTIVITY_THRESHOLDS
    ]
    return np.searchsorted(limits, differences @ known, side="right")


def _classes(codes: np.ndarray) -> np.ndarray:
    """Class of each code: its magnitude below 8, then one for each power of two."""
    magnitudes = np.abs(codes)
    exponents = np.frexp(magnitudes.astype(np.float64))[1]
    return np.where(magnitudes < 8, magnitudes, np.minimum(4 + exponents, N_CLASSES - 1))


def _log2(numbers: np.ndarray) -> np.ndarray:
    """Binary logarithms of positive int64 in fixed point, linear between powers of two."""
    exponents = np.frexp(numbers.astype(np.float64))[1].astype(np.int64) - 1
    return (exponents << COST_BITS) + ((numbers - (1 << exponents)) << COST_BITS >> exponents)


def estimate_coding(counts: Counts, n_valid: int, unit: float, *, is_exact: bool) -> Estimate:
    """Estimate the bits and errors of a volume.

    The bits of the finest level, seven of eight points of the volume, are the entropy of its codes, given the
    contexts. The points of a coarser level take as many more as their costs are higher.

    Args:
        counts: of the weights that the stream will have.
        n_valid: points of the volume that count.
        unit: of the fixed point, in units of the values.
        is_exact: whether decoded values are the values themselves.

    Returns:
        The estimate; 0 bits where it would rest on too few samples.
    """
    n_of_contexts = counts.histogram.sum(axis=1)
    n = sum(n_of_contexts.tolist())
    if n < _LEAST_SAMPLES:
        return Estimate(0.0, 0.0)
    n_of_level, cost_of_level = (
        field.reshape(N_LEVEL_GROUPS, -1).sum(1).tolist() for field in (counts.n_samples, counts.costs)
    )
    means = [cost / max(of, 1) / (1 << COST_BITS) for cost, of in zip(cost_of_level, n_of_level, strict=True)]
    levels = zip(_SHARE_OF_LEVEL, means, n_of_level, strict=True)
    more = sum(share * (mean - means[0]) for share, mean, of in levels if of)
    # Values are rounded to the fixed point, too.
    error = 0.0 if is_exact else float(counts.squared_error) / n + 1 / 12
    # In this order nothing overflows as long as the result does not.
    bits = max(_entropy(counts.histogram, n_of_contexts) / n + more, 0.0) * n_valid
    return Estimate(bits, error * unit * n_valid * unit)


def _entropy(histogram: np.ndarray, totals: np.ndarray) -> float:
    """Bits of codes, given their contexts: of the class of a code, then its sign and rest."""
    entropies = _TIMES_LOGARITHM.take(totals) - _TIMES_LOGARITHM.take(histogram).sum(axis=1)
    return sum((entropies + histogram @ _FURTHER_BITS).tolist())
