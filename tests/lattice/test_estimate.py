import numpy as np
import pytest
from lattice_volumes import code_values, estimate_values
from scipy import ndimage

SHAPE = (64, 40, 48)


def volume(kind: str) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, 3)
    return {"noise": noise, "smooth": smooth, "both": 20 * smooth + noise}[kind]


@pytest.mark.parametrize("kind", ["noise", "smooth", "both"])
@pytest.mark.parametrize("share", [0.001, 0.0003])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_estimates_are_near_the_bits_of_a_stream(kind: str, share: float, offset: float) -> None:
    values = volume(kind) + offset
    max_error = share * float(np.ptp(values))
    stream, decoded = code_values(values, max_error, SHAPE)
    for thinning in (0, 3):
        estimate = estimate_values(values, max_error, SHAPE, thinning=thinning)
        assert 0.75 < 8 * len(stream) / estimate.bits < 1.5
        assert 0.8 < np.sum((decoded - values) ** 2) / estimate.squared_error < 1.25


def test_integers_that_stay_exact_are_estimated_too() -> None:
    values = np.rint(100 * volume("smooth") + 100).astype(np.uint8)
    stream, _ = code_values(values, 0.0, SHAPE)
    estimate = estimate_values(values, 0.0, SHAPE)
    assert 0.75 < 8 * len(stream) / estimate.bits < 1.5
    assert estimate.squared_error == 0


def test_a_plateau_is_expected_to_cost_neither_bits_nor_errors() -> None:
    values = volume("noise")
    whole = estimate_values(values, 1e-3, SHAPE)
    values[32:] = 0
    estimate = estimate_values(values, 1e-3, SHAPE)
    assert estimate.bits < 0.6 * whole.bits
    assert estimate.squared_error < 0.6 * whole.squared_error


def test_values_that_do_not_count_cost_nothing() -> None:
    values, valid = volume("noise"), np.ones(SHAPE, bool)
    valid[:, :, 24:] = False
    half, whole = (estimate_values(values, 0.01, SHAPE, counted) for counted in (valid, None))
    assert 0.45 < half.bits / whole.bits < 0.55
    assert 0.45 < half.squared_error / whole.squared_error < 0.55


def test_there_is_no_estimate_of_too_few_points() -> None:
    valid = np.zeros(SHAPE, bool)
    valid[3, 4, 5] = True
    assert estimate_values(volume("noise"), 0.05, SHAPE, valid) == (0, 0)
