"""Estimate of the bits and errors of a volume on a lattice, from a sample of its points."""

from typing import NamedTuple

import numpy as np

from nvc_jax.lattice.geometry import FAR_GROUPS, KNOWN_GROUPS, PHASES
from nvc_jax.lattice.prediction import ACTIVITY_THRESHOLDS
from nvc_jax.lattice.samples import draw_phase
from nvc_jax.lattice.weights import ONE, default_weights

_MOST_POINTS, _LEAST_POINTS = 1000, 250
"""Limits of the points that are drawn of each phase."""
_SHARE_OF_POINTS = 1 / 64
"""Share of the points of a phase that are drawn, between these limits."""
_FEWEST = 200
"""Fewest points that an estimate rests on."""
_N_TOKENS = 64
_ACTIVITY_UNITS = 32
"""Units of a step in which ACTIVITY_THRESHOLDS are."""


class Estimate(NamedTuple):
    """Estimated bits of a volume on a lattice, and sum of squared errors in squared units of the values."""

    bits: float
    squared_error: float


def estimate_coding(
    values: np.ndarray, valid: np.ndarray, low: float, spacing: float, *, is_exact: bool
) -> Estimate:
    """Estimate the bits and errors of a volume on a lattice.

    Points of the finest level, seven of eight of the volume, are predicted with the default weights from
    rounded neighbours. The bits are the entropy of their codes, given the activity of the neighbours. A
    stream may take fewer, as fitted weights predict better.

    Args:
        values: (z, y, x), any real dtype.
        valid: bool (z, y, x), values that count.
        low: smallest value that counts.
        spacing: step of the codes, in units of the values.
        is_exact: whether decoded values are the values themselves.

    Returns:
        The estimate; 0 bits where too few points have neighbours that count.
    """
    rng, weights = np.random.default_rng(0), default_weights()
    most = int(np.clip(values.size * _SHARE_OF_POINTS / len(PHASES), _LEAST_POINTS, _MOST_POINTS))
    codes, errors, contexts = [], [], []
    for number, groups in enumerate(KNOWN_GROUPS):
        sample = draw_phase(
            values,
            valid,
            number,
            0,
            most,
            rng,
            origin=low,
            step=spacing,
            is_rounded=True,
            with_valid_neighbours=True,
        )
        row = weights[number, [group.number for group in groups]].astype(np.float32) / ONE
        predicted = np.rint(sample.means @ row) if is_exact else sample.means @ row
        near = [group.number not in FAR_GROUPS for group in groups]
        activity = np.abs(sample.means[:, near] - predicted[:, None]).mean(1)
        codes.append(np.rint(sample.targets - predicted))
        errors.append(sample.targets - predicted - codes[-1])
        contexts.append(np.searchsorted(ACTIVITY_THRESHOLDS, activity * _ACTIVITY_UNITS, side="right"))
    all_codes, all_errors = np.concatenate(codes), np.concatenate(errors).astype(np.float64)
    if len(all_codes) < _FEWEST:
        return Estimate(0.0, 0.0)
    n_valid, n = float(np.count_nonzero(valid)), len(all_codes)
    bits = _bits_given(np.concatenate(contexts), all_codes) / n * n_valid
    # In this order nothing overflows as long as the result does not.
    return Estimate(bits, float(all_errors @ all_errors) / n * spacing * n_valid * spacing)


def _bits_given(contexts: np.ndarray, codes: np.ndarray) -> float:
    """Entropy of codes, given contexts below 16, in bits: of the class of a code, then its sign and rest."""
    magnitudes = np.abs(codes)
    exponents = np.frexp(magnitudes)[1]
    classes = np.where(magnitudes < 8, magnitudes, np.minimum(4 + exponents, _N_TOKENS - 1)).astype(np.int64)
    counts = np.bincount(contexts * _N_TOKENS + classes, minlength=(len(ACTIVITY_THRESHOLDS) + 1) * _N_TOKENS)
    counts = counts.reshape(-1, _N_TOKENS)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    entropy = -np.sum(counts * np.log2(np.where(counts > 0, counts / totals, 1)))
    rest = np.where(magnitudes < 8, 0, exponents - 1) + (magnitudes > 0)
    return float(entropy + rest.sum())
