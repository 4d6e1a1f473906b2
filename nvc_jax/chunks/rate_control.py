"""Search for the step that meets a quality target."""

import math
from collections.abc import Callable, Iterable

import numpy as np

from nvc_jax.core.chunk_grid import Region


def find_step(
    psnr_of: Callable[[float], float], psnr: float, steps: tuple[float, float], start: float | None = None
) -> float:
    """The largest step found within ``steps`` that reaches ``psnr`` within 0.05 dB, or else exceeds it."""
    low, high = map(math.log, steps)  # logarithms of steps that reach it, and that do not
    guess = math.log(start or math.sqrt(12) * 10 ** (-psnr / 20))
    for _ in range(14):
        guess = min(max(guess, low + 0.02 * (high - low)), high - 0.02 * (high - low))
        excess = psnr_of(math.exp(guess)) - psnr
        if abs(excess) < 0.05:
            return math.exp(guess)
        low, high = (guess, high) if excess > 0 else (low, guess)
        # 6 dB for each halving of the step, near enough to converge in a few rounds.
        guess += min(max(excess, -20.0), 20.0) * math.log(10) / 20
    return math.exp(low)


def pick_evenly(places: list[Region], count: int) -> list[Region]:
    """At most ``count`` of ``places``, at equal distances."""
    if len(places) <= count:
        return places
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


def squared_errors(original: np.ndarray, decoded: np.ndarray) -> tuple[float, int]:
    """The sum of squared differences, and how many there are."""
    errors = decoded.astype(np.float64) - original.astype(np.float64)
    return float(np.sum(errors * errors)), errors.size


def psnr_of_sums(extent: float, errors: Iterable[tuple[float, int]]) -> float:
    """PSNR in dB, relative to ``extent``, from the ``squared_errors`` of parts."""
    total, count = map(sum, zip(*errors, strict=True))
    if total == 0:
        return math.inf
    return 20 * math.log10(extent) - 10 * math.log10(total / count)
