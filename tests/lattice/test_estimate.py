import numpy as np
import pytest
from scipy import ndimage

from nvc_jax.lattice.estimate import estimate_coding
from nvc_jax.lattice.values import encode_values

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
    valid = np.ones(SHAPE, bool)
    stream, decoded = encode_values(values, max_error, SHAPE)
    estimate = estimate_coding(values, valid, float(values.min()), 2 * max_error, is_exact=False)
    assert 0.75 < 8 * len(stream) / estimate.bits < 1.5
    assert 0.8 < np.sum((decoded - values) ** 2) / estimate.squared_error < 1.25


def test_integers_that_stay_exact_are_estimated_too() -> None:
    values = np.rint(100 * volume("smooth") + 100).astype(np.uint8)
    stream, _ = encode_values(values, 0.0, SHAPE)
    estimate = estimate_coding(values, np.ones(SHAPE, bool), 0.0, 1.0, is_exact=True)
    assert 0.75 < 8 * len(stream) / estimate.bits < 1.5
    assert estimate.squared_error == 0


def test_a_plateau_is_expected_to_cost_neither_bits_nor_errors() -> None:
    values = volume("noise")
    values[32:] = 0
    estimate, whole = (
        estimate_coding(v, np.ones(SHAPE, bool), float(v.min()), 1e-3, is_exact=False)
        for v in (values, volume("noise"))
    )
    assert estimate.bits < 0.6 * whole.bits
    assert estimate.squared_error < 0.6 * whole.squared_error


def test_values_that_do_not_count_do_not_matter() -> None:
    values, valid = volume("smooth"), np.ones(SHAPE, bool)
    valid[:, :, 30:] = False
    estimates = []
    for filling in (0.0, 1e30, np.nan, np.inf):
        filled = np.where(valid, values, filling)
        estimates.append(estimate_coding(filled, valid, float(values[valid].min()), 0.01, is_exact=False))
    assert len(set(estimates)) == 1
    assert estimates[0].bits > 0


def test_there_is_no_estimate_without_points_that_count() -> None:
    values = volume("noise")
    assert estimate_coding(values, np.zeros(SHAPE, bool), 0.0, 0.1, is_exact=False) == (0, 0)
