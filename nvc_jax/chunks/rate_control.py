"""Search for the quantiser step that meets a quality target."""

import functools
import math
from collections.abc import Callable

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

_FIRST_RATIO, _OTHER_RATIOS = 2.0, (1.4, 2.8)
"""Steps, as multiples of the error bound, that are tried first. Larger ones leave nearly all to the
correction."""
_FINE_RATIO = 2**0.25
"""Factor of the two steps that are tried beside the best of the first."""


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


def find_ratio(size: Callable[[float], int | None]) -> float:
    """Find the ratio of step to error bound that takes the fewest bytes.

    Args:
        size: bytes by the ratio; None where they do not depend on it, as nothing is transformed. Then the
            search ends.
    """

    @functools.cache
    def bytes_at(ratio: float) -> float:
        n_bytes = size(ratio)
        return math.inf if n_bytes is None else n_bytes

    if math.isinf(bytes_at(_FIRST_RATIO)):
        return _FIRST_RATIO
    best = min((_FIRST_RATIO, *_OTHER_RATIOS), key=bytes_at)
    return min((best / _FINE_RATIO, best, best * _FINE_RATIO), key=bytes_at)


def pick_evenly(regions: list[Region], count: int) -> list[Region]:
    """Pick at most ``count`` of ``regions``, at equal distances."""
    if len(regions) <= count:
        return regions
    return [regions[(2 * i + 1) * len(regions) // (2 * count)] for i in range(count)]
