import math
from collections.abc import Sequence

import pytest
from psnr_curve import Curve

from nvc_jax.chunks.psnr_search import find_spread_step, guess_step
from nvc_jax.chunks.rate_control import TOLERANCE_DB, StepGuess

LIMITS = (2.0**-15, 2.0)
GRID = 10 ** (1 / 40)


@pytest.mark.parametrize(
    ("slope", "offset"), [(1.0, 10.8), (1.0, 22.0), (0.6, 30.0), (0.8, 40.0), (1.5, 2.0)]
)
@pytest.mark.parametrize("psnr", [35.0, 60.0])
def test_a_guess_by_pairs_of_steps_is_close(slope: float, offset: float, psnr: float) -> None:
    curve = Curve(slope, offset)
    guess = guess_step(curve.of_pair, psnr, LIMITS)
    expected = min(max(curve.step_for(psnr), LIMITS[0]), LIMITS[1])
    assert abs(math.log(guess.step / expected)) < 2 * math.log(GRID)
    assert curve.n_calls <= 6


def test_a_guess_between_the_first_steps_takes_one_pair() -> None:
    curve = Curve(1.0, 10.8 + 6.0)
    guess = guess_step(curve.of_pair, 45.0, LIMITS)
    assert curve.n_calls == 2
    assert guess.step == pytest.approx(curve.step_for(45.0))
    assert guess.slope == pytest.approx(20 / math.log(10))


@pytest.mark.parametrize(("psnr", "limit"), [(150.0, LIMITS[0]), (3.0, LIMITS[1])])
def test_guesses_stay_within_the_limits(psnr: float, limit: float) -> None:
    assert guess_step(Curve(1.0, 10.8).of_pair, psnr, LIMITS).step == pytest.approx(limit)


@pytest.mark.parametrize("measured", [math.inf, 300.0, 1.0])
def test_curves_that_are_flat_end_the_guess(measured: float) -> None:
    calls: list[Sequence[float]] = []

    def flat(steps: Sequence[float]) -> list[float]:
        calls.append(steps)
        return [measured, measured]

    assert LIMITS[0] <= guess_step(flat, 45.0, LIMITS).step <= LIMITS[1]
    assert len(calls) <= 4


def nearest(step: float) -> float:
    """Step of a grid of 0.5 dB."""
    return float(GRID ** round(math.log(step) / math.log(GRID)))


@pytest.mark.parametrize(("error", "n_of_all"), [(0.3, 1), (0.0, 1), (2.0, 1), (7.0, 2)])
def test_a_part_of_the_chunks_finds_the_step_of_all(error: float, n_of_all: int) -> None:
    of_all, of_middle = Curve(1.0, 20.0), Curve(1.0, 20.0)
    start = StepGuess(of_all.step_for(45.0 - error), 20 / math.log(10))
    step = find_spread_step(of_all, of_middle, 45.0, LIMITS, start, nearest)
    assert abs(of_all(step) - 45.0) < TOLERANCE_DB
    assert of_middle.n_calls <= 2
    assert of_all.n_calls - 1 <= n_of_all


def test_parts_that_differ_from_the_whole_cost_a_round() -> None:
    of_all, of_middle = Curve(1.0, 20.0), Curve(1.0, 21.5)
    start = StepGuess(of_all.step_for(45.0), 20 / math.log(10))
    step = find_spread_step(of_all, of_middle, 45.0, LIMITS, start, nearest)
    assert abs(of_all(step) - 45.0) < TOLERANCE_DB
    assert of_all.n_calls - 1 <= 3
