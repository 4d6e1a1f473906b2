"""Search for the step by which a volume reaches a PSNR: a guess by a sample, then all chunks."""

import math
from collections.abc import Callable, Sequence

from nvc_jax.chunks.rate_control import (
    USUAL_SLOPE,
    StepGuess,
    correction_of,
    find_step,
    trusted_slope,
    uniform_step,
)

_FIRST_STEPS = (1.5, 4.0)
"""Steps that a guess begins with, as multiples of the one whose uniform error has the PSNR: most volumes
reach 30 to 60 dB with a step between them, as most of their coefficients are smaller than it."""
_STEPS_BESIDE = (1 / 1.3, 1.3)
"""The next steps of a guess, as multiples of what the last two suggest."""
_FAR_DB = 1.0
"""Distance from the PSNR beyond which a guess by two steps is not trusted, unless it lies between them."""
_LEAST_SLOPE_BELOW = 0.75 * USUAL_SLOPE
"""Least slope that is expected below both steps: PSNRs change by the less the larger steps are."""
_MOST_PAIRS = 4
"""Pairs of steps that a guess takes at most."""
_MOST_MIDDLES = 2
"""Steps of the grid at most by which a part of the chunks is measured before all are."""


def guess_step(
    psnrs_of: Callable[[Sequence[float]], Sequence[float]], psnr: float, limits: tuple[float, float]
) -> StepGuess:
    """Guess the step that reaches a PSNR, by two steps of which both are measured at the same time.

    Args:
        psnrs_of: PSNRs in dB of steps, of a sample of the volume.
        psnr: dB to reach.
        limits: smallest and largest step.
    """
    least, most = map(math.log, limits)
    uniform = math.log(uniform_step(psnr))
    pair = [uniform + math.log(factor) for factor in _FIRST_STEPS]
    for _ in range(_MOST_PAIRS):
        low, high = (min(max(one, least), most) for one in pair)
        excess = [measured - psnr for measured in psnrs_of([math.exp(low), math.exp(high)])]
        slope = (excess[0] - excess[1]) / (high - low) if high > low else USUAL_SLOPE
        slope = min(trusted_slope(slope), USUAL_SLOPE) if math.isfinite(slope) else USUAL_SLOPE
        nearer, place = min(zip(excess, (low, high), strict=True), key=lambda one: abs(one[0]))
        if nearer < 0 and place == low:
            slope = max(slope, _LEAST_SLOPE_BELOW)
        guess = min(max(place + correction_of(nearer, slope), least), most)
        is_beyond = guess in (least, most) and place == guess
        if excess[0] >= 0 >= excess[1] or abs(nearer) <= _FAR_DB or is_beyond:
            break
        pair = [guess + math.log(factor) for factor in _STEPS_BESIDE]
    return StepGuess(math.exp(guess), slope)


def find_spread_step(
    psnr_of: Callable[[float], float],
    psnr_of_middle: Callable[[float], float],
    psnr: float,
    limits: tuple[float, float],
    start: StepGuess,
    nearest: Callable[[float], float],
) -> float:
    """Find the step by which chunks with spread steps reach a PSNR; as ``find_step``.

    Args:
        psnr_of: PSNR in dB of all chunks by step.
        psnr_of_middle: of the quarter of the chunks that keep a step of the grid for longest. Measured first,
            it tells which step the others are worth encoding with.
        psnr: dB to reach.
        limits: smallest and largest step.
        start: first guess.
        nearest: finds the step of the grid next to one.
    """
    step, slope = start
    last = (math.nan, math.nan)
    for _ in range(_MOST_MIDDLES):
        middle = nearest(step)
        excess = psnr_of_middle(middle) - psnr
        secant = (last[1] - excess) / math.log(middle / last[0])
        if math.isfinite(secant):
            slope = trusted_slope(secant)
        last = (middle, excess)
        step = min(max(middle * math.exp(correction_of(excess, slope)), limits[0]), limits[1])
        if nearest(step) == middle:
            break
    return find_step(psnr_of, psnr, limits, start=StepGuess(step, slope)).step
