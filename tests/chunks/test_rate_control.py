import math
from collections.abc import Callable

import pytest
from psnr_curve import Curve

from nvc_jax.chunks.rate_control import (
    TOLERANCE_DB,
    StepGuess,
    TriedRatio,
    find_ratio,
    find_step,
    pick_evenly,
)
from nvc_jax.core.chunk_grid import chunk_regions

LIMITS = (2.0**-15, 2.0)


@pytest.mark.parametrize(
    ("slope", "offset", "psnr"),
    [
        (1.0, 10.8, 10.0),
        (1.0, 10.8, 89.0),
        (0.6, 20.0, 35.0),
        (0.6, 20.0, 60.0),
        (1.5, 2.0, 35.0),
        (1.5, 2.0, 89.0),
    ],
)
def test_the_step_of_a_psnr_is_found(slope: float, offset: float, psnr: float) -> None:
    curve = Curve(slope, offset)
    step = find_step(curve, psnr, LIMITS).step
    assert curve.n_calls <= 4
    assert abs(curve(step) - psnr) < TOLERANCE_DB


def test_a_good_guess_is_measured_once() -> None:
    curve = Curve(1.0, 10.8)
    step = 10 ** ((10.8 - 50) / 20)
    assert find_step(curve, 50.0, LIMITS, StepGuess(step)).step == pytest.approx(step)
    assert curve.n_calls == 1


def test_slopes_are_found_and_used_by_later_searches() -> None:
    curve = Curve(0.6, 20.0)
    rough = find_step(curve, 45.0, LIMITS, tolerance=0.5)
    assert rough.slope == pytest.approx(0.6 * 20 / math.log(10))
    shifted = Curve(0.6, 19.0)
    step = find_step(shifted, 45.0, LIMITS, rough).step
    assert shifted.n_calls == 2
    assert abs(shifted(step) - 45.0) < TOLERANCE_DB


def test_a_search_between_steps_that_hardly_differ_ends() -> None:
    """A jump of 1 dB at the wanted PSNR: the search ends as soon as its step is known well."""
    curve = Curve(1.0, 10.8)
    jump = 10 ** ((10.8 - 50) / 20)
    step = find_step(lambda step: curve(step) + (0.5 if step < jump else -0.5), 50.0, LIMITS).step
    assert jump * 0.99 < step < jump
    assert curve.n_calls <= 14


def test_a_curve_with_a_jump_is_met_from_above() -> None:
    """If no step has the PSNR, the largest step that exceeds it is taken."""
    step = find_step(lambda step: 60.0 if step < 0.1 else 30.0, 45.0, LIMITS).step
    assert 0.095 < step < 0.1


def test_psnrs_beyond_the_limits_end_at_the_limits() -> None:
    assert find_step(lambda _: 100.0, 50.0, LIMITS).step == pytest.approx(LIMITS[1], rel=0.2)
    assert find_step(lambda _: math.inf, 50.0, LIMITS).step == pytest.approx(LIMITS[1], rel=0.2)
    assert find_step(lambda _: 20.0, 50.0, LIMITS).step == pytest.approx(LIMITS[0])


FIRST_RATIO = 2**1.5


def find_and_count(n_bytes: Callable[[float], float], share: float, bits: float) -> tuple[float, list[float]]:
    """Find a ratio; also return those that were measured."""
    measured: list[float] = []

    def measure(ratio: float) -> TriedRatio:
        measured.append(ratio)
        return TriedRatio(round(n_bytes(ratio)), share, bits)

    return find_ratio(measure), measured


@pytest.mark.parametrize("best", [1.0, 2.8, 4.0, 5.7, 9.0])
@pytest.mark.parametrize(("share", "bits"), [(0.05, 0.3), (0.1, 2.0), (0.15, 3.5)])
def test_larger_ratios_are_tried_as_long_as_they_take_fewer_bytes(
    best: float, share: float, bits: float
) -> None:
    ratio, measured = find_and_count(lambda r: 10_000 + 5_000 * math.log(r / best) ** 2, share, bits)
    assert abs(math.log2(ratio / max(best, FIRST_RATIO))) < 0.5
    assert len(measured) == len(set(measured)) <= 6


@pytest.mark.parametrize(("share", "bits"), [(0.1, 0.3), (0.3, 1.0), (0.15, 2.5), (0.2, 4.0)])
def test_one_ratio_is_tried_where_others_hardly_gain(share: float, bits: float) -> None:
    assert find_and_count(lambda r: 10_000 / r, share, bits) == (FIRST_RATIO, [FIRST_RATIO])


def test_a_small_gain_is_the_last() -> None:
    ratio, measured = find_and_count(lambda r: 100_000 - 100 * r, 0.0, 0.3)
    assert measured == [FIRST_RATIO, ratio]
    assert ratio > FIRST_RATIO


def test_a_search_whose_bytes_always_fall_ends() -> None:
    ratio, measured = find_and_count(lambda r: 100_000 / r, 0.0, 0.3)
    assert ratio == measured[-1]
    assert len(measured) == 6


def test_the_search_for_a_ratio_ends_where_sizes_do_not_depend_on_it() -> None:
    measured: list[float] = []
    ratio = find_ratio(measured.append)
    assert measured == [ratio] == [FIRST_RATIO]


def test_regions_are_picked_at_equal_distances() -> None:
    regions = chunk_regions((100, 1, 1), (1, 1, 1))
    picked = [region[0].start for region in pick_evenly(regions, 4)]
    assert picked == [12, 37, 62, 87]
    assert pick_evenly(regions, 100) == pick_evenly(regions, 1000) == regions
    assert len(pick_evenly(regions, 99)) == 99
