"""The likely cost of a chunk on a lattice, by the estimate of its plan.

The estimate knows the codes of samples that are predicted from exact neighbours. Decoded neighbours are off,
the more so the fewer bits a value takes: a lattice then takes up to several times its estimate. Where much of
a chunk is flat, the coder adapts to that better than the estimate tells. The shares below are typical of 90
volumes, at three steps and under three bounds; where they vary much, they are those of a good lattice.

A trial of the coarse levels tells more: what the finest level takes follows from them and from the estimate.
"""

import bisect
import math

from nvc_jax.lattice.estimate import Counts, Estimate
from nvc_jax.lattice.trial import Trial

_BITS_OF_VALUE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0)
"""Estimated bits of a value for which the rows below tell the shares; they are interpolated."""
_BITS = (3.0, 2.3, 1.5, 1.25, 1.08, 1.0, 0.96, 0.955, 0.97)
"""Likely share of the estimated bits."""
_BITS_IN_FLAT = (2.0, 1.6, 1.0, 0.85, 0.78, 0.74, 0.8, 0.9, 0.95)
"""The same where much of the chunk is flat."""
_ERROR = (2.0, 1.7, 1.45, 1.45, 1.25, 1.05, 0.99, 0.98, 0.92)
"""Likely share of the estimated squared error."""
_ERROR_IN_FLAT = (1.5, 1.5, 1.2, 1.1, 1.0, 0.95, 0.95, 0.95, 0.95)
"""The same where much of the chunk is flat."""
_FLAT = (0.6, 0.6, 0.6, 0.6, 0.5, 0.45, 0.4, 0.3, 0.3)
"""Share of codes in the context of the least activity from which on much of the chunk is flat."""
_FACTOR_OF_GAPS = 1.1
"""Factor of the bits where some values are not valid: they are neighbours, too."""

_COST_OF_VALUE = (0.1, 0.35, 0.75, 1.5, 3.0, 8.0)
"""Likely cost of a value in bits for which the row below tells how much more it may be; interpolated."""
_MOST = (1.6, 1.55, 1.45, 1.35, 1.1, 1.06)
"""Cost over the likely one that one in 30 lattices exceeds that cost about as much as the transform."""

_BITS_OFFSET, _BITS_REST = 0.01, 0.003
_BITS_OF_FINEST = (-0.138, 0.073, 0.958, -0.1, 0.129)
"""Logarithm of the bits of a value of the finest level: a constant, and what the logarithm of those of the
coarse levels, that of the estimated ones, the share of flat samples, and gaps add to it. Fitted to lattices
of 35 volumes at two steps and under two bounds, above all to those near the cost of the transform. Of 47
others, half are told within 3 to 4 % near it, and nine of ten within 11 %."""
_ERROR_OFFSET = 0.001
_ERROR_OF_FINEST = (0.299, 1.168)
"""The same of its squared error, in squared steps: a constant, and what the logarithm of that of the coarse
levels adds to it."""


def correct_estimate(estimate: Estimate, counts: Counts, n_valid: int, *, has_gaps: bool) -> Estimate:
    """Estimate the bits and errors that a lattice is likely to have.

    Args:
        estimate: of the bits and errors.
        counts: of the samples that it is based on.
        n_valid: number of valid values.
        has_gaps: whether there are others.
    """
    bits_of_value = estimate.bits / max(n_valid, 1)
    flat = _flat_share(counts)
    is_flat = flat > _interpolate(bits_of_value, _BITS_OF_VALUE, _FLAT)
    bits, error = (_BITS_IN_FLAT, _ERROR_IN_FLAT) if is_flat else (_BITS, _ERROR)
    return Estimate(
        estimate.bits
        * _interpolate(bits_of_value, _BITS_OF_VALUE, bits)
        * (_FACTOR_OF_GAPS if has_gaps else 1),
        estimate.squared_error * _interpolate(bits_of_value, _BITS_OF_VALUE, error),
    )


def most_of_cost(cost_of_value: float) -> float:
    """Tell the most that a lattice may cost over the likely cost, given that of a value in bits."""
    return _interpolate(cost_of_value, _COST_OF_VALUE, _MOST)


def complete_trial(
    trial: Trial, estimate: Estimate, counts: Counts, n_valid: int, spacing: float, *, has_gaps: bool
) -> Estimate:
    """Estimate bits and errors by a trial of the coarse levels.

    Args:
        trial: of the coarse levels.
        estimate: by samples.
        counts: of the samples.
        n_valid: number of valid values.
        spacing: step of the codes.
        has_gaps: whether there are other values.
    """
    n_coarse, n_finest = max(trial.n_points, 1), max(n_valid - trial.n_points, 0)
    each = (trial.bits / n_coarse, estimate.bits / max(n_valid, 1))
    logarithms = [math.log(bits + _BITS_OFFSET) for bits in each]
    bits = _exponential(_BITS_OF_FINEST, 1.0, *logarithms, _flat_share(counts), float(has_gaps)) - _BITS_REST
    error = _exponential(_ERROR_OF_FINEST, 1.0, math.log(trial.squared_error / n_coarse + _ERROR_OFFSET))
    squared_error = (trial.squared_error + error * n_finest) * spacing * spacing
    return Estimate(trial.bits + max(bits, 0.0) * n_finest, squared_error if estimate.squared_error else 0.0)


def _exponential(factors: tuple[float, ...], *of: float) -> float:
    """Exponential of a weighted sum."""
    return math.exp(sum(factor * one for factor, one in zip(factors, of, strict=True)))


def _flat_share(counts: Counts) -> float:
    """Share of codes in the context of the least activity."""
    n_of_contexts = counts.histogram.sum(axis=1).tolist()
    return n_of_contexts[0] / max(sum(n_of_contexts), 1)


def _interpolate(place: float, places: tuple[float, ...], values: tuple[float, ...]) -> float:
    """Interpolate between values at places in ascending order; beyond them, those at the ends go on."""
    right = bisect.bisect_right(places, place)
    if right in (0, len(places)):
        return values[max(right - 1, 0)]
    left = right - 1
    slope = (values[right] - values[left]) / (places[right] - places[left])
    return slope * (place - places[left]) + values[left]
