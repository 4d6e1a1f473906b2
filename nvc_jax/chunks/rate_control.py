"""Search for the quantiser step that meets a quality target."""

import math
from collections.abc import Callable
from typing import NamedTuple

from nvc_jax.core.chunk_grid import Region

_TOLERANCE_DB = 0.05
"""Distance from the wanted PSNR at which the search ends: half of what the package promises."""
_MAX_ROUNDS = 14
"""Rounds of the search: bisection alone would narrow the steps down to 1 in 16,000 of their logarithmic
range."""
_INSET = 0.02
"""Share of the remaining interval that a guess keeps from its ends, so that every round narrows it."""
_MAX_CORRECTION_DB = 20.0
"""Largest correction of a guess in one round: far from the target the rule of 6 dB for a halved step
fails."""

_FIRST_RATIO = 2**1.5
"""Step, as a multiple of the error bound, that is tried first: best in the mean of the training volumes."""
_RATIO_FACTOR = 2**0.5
"""Factor of the next larger step that is tried."""
_MOST_RATIOS = 6
"""Steps that are tried at most."""
_SMALL_CORRECTION = 0.08
"""Share of a correction in the bytes below which a larger step may take fewer."""
_MANY_BITS, _FAIR_CORRECTION = 1.9, 0.12
"""Bits of the body for a voxel, and share of a correction, above which a larger step may take fewer bytes:
where nearly every coefficient is coded, the size hardly depends on the step."""


class TriedRatio(NamedTuple):
    """Size of chunks with a ratio of step to error bound.

    Attributes:
        n_bytes: of their payloads.
        correction_share: share of the corrections in the bytes of transformed chunks.
        bits_per_voxel: of the bodies of transformed chunks.
    """

    n_bytes: int
    correction_share: float
    bits_per_voxel: float

    @property
    def may_gain_by_larger(self) -> bool:
        """Tell whether a larger step may take fewer bytes."""
        share = self.correction_share
        return share < _SMALL_CORRECTION or (self.bits_per_voxel > _MANY_BITS and share > _FAIR_CORRECTION)


def find_step(
    psnr_of: Callable[[float], float], psnr: float, limits: tuple[float, float], start: float | None = None
) -> float:
    """Find the largest step that reaches a PSNR within 0.05 dB, or else exceeds it.

    Args:
        psnr_of: PSNR in dB by step; falls as the step grows.
        psnr: dB to reach.
        limits: smallest and largest step.
        start: first guess; if missing the step whose uniform error has that PSNR.
    """
    low, high = map(math.log, limits)  # logarithms of a step that reaches the PSNR, and of one that does not
    guess = math.log(start or math.sqrt(12) * 10 ** (-psnr / 20))
    for _ in range(_MAX_ROUNDS):
        inset = _INSET * (high - low)
        guess = min(max(guess, low + inset), high - inset)
        excess = psnr_of(math.exp(guess)) - psnr
        if abs(excess) < _TOLERANCE_DB:
            return math.exp(guess)
        low, high = (guess, high) if excess > 0 else (low, guess)
        # Halving the step adds about 6 dB.
        guess += min(max(excess, -_MAX_CORRECTION_DB), _MAX_CORRECTION_DB) * math.log(10) / 20
    return math.exp(low)


def find_ratio(measure: Callable[[float], TriedRatio | None]) -> float:
    """Find a ratio of step to error bound that takes few bytes.

    A second ratio is tried only where the first leaves little or much to the correction. On the training
    volumes, to which this rule is fitted, that takes 1.6 trials in the mean, and 1 % more bytes than the best
    of all ratios.

    Args:
        measure: what a ratio takes; None where that does not depend on it, as nothing is transformed. Then
            the search ends.
    """
    ratio, tried = _FIRST_RATIO, measure(_FIRST_RATIO)
    if tried is None or not tried.may_gain_by_larger:
        return ratio
    for _ in range(_MOST_RATIOS - 1):
        larger = measure(ratio * _RATIO_FACTOR)
        if larger is None or larger.n_bytes >= tried.n_bytes:
            break
        ratio, tried = ratio * _RATIO_FACTOR, larger
    return ratio


def pick_evenly(regions: list[Region], count: int) -> list[Region]:
    """Pick at most ``count`` of ``regions``, at equal distances."""
    if len(regions) <= count:
        return regions
    return [regions[(2 * i + 1) * len(regions) // (2 * count)] for i in range(count)]
