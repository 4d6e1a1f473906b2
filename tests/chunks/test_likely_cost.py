import numpy as np
import pytest

from nvc_jax.chunks.likely_cost import complete_trial, correct_estimate, most_of_cost
from nvc_jax.lattice.estimate import N_CLASSES, N_CONTEXTS, Counts, Estimate
from nvc_jax.lattice.trial import Trial


def counts(flat_share: float) -> Counts:
    """Make counts of 1000 samples, some of them in the context of the least activity."""
    histogram = np.zeros((N_CONTEXTS, N_CLASSES), np.int32)
    histogram[0, 0] = round(1000 * flat_share)
    histogram[3, 1] = 1000 - histogram[0, 0]
    return Counts(np.array([1000]), np.array([0]), histogram, np.array(0))


def likely_bits(bits_of_value: float, flat_share: float, *, has_gaps: bool = False) -> float:
    """Share of 1000 values' estimated bits that they are likely to take."""
    estimate = Estimate(1000 * bits_of_value, 5.0)
    return correct_estimate(estimate, counts(flat_share), 1000, has_gaps=has_gaps).bits / estimate.bits


def test_few_bits_are_likely_to_become_more_and_many_to_stay() -> None:
    shares = [likely_bits(bits, 0.0) for bits in (0.01, 0.07, 0.3, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 1.5
    assert 0.9 < likely_bits(8.0, 0.0) < 1


def test_flat_chunks_may_take_far_fewer_bits_than_estimated() -> None:
    assert likely_bits(0.8, 0.7) < 0.8 < likely_bits(0.8, 0.2)
    assert correct_estimate(Estimate(800, 5.0), counts(0.7), 1000, has_gaps=False).squared_error < 5


def test_gaps_cost_bits() -> None:
    assert likely_bits(2.0, 0.1, has_gaps=True) == pytest.approx(1.1 * likely_bits(2.0, 0.1))


def test_nothing_is_likely_of_nothing() -> None:
    nothing = correct_estimate(Estimate(0.0, 0.0), counts(0.0), 0, has_gaps=True)
    assert nothing == Estimate(0.0, 0.0)


def tried(
    bits_of_value: float, flat_share: float, error: float = 0.05, *, has_gaps: bool = False
) -> Estimate:
    """Estimate 8000 values by a trial of 1000, which take the estimated bits and squared errors each."""
    trial = Trial(1000 * bits_of_value, 1000 * error, 1000)
    estimate = Estimate(8000 * bits_of_value, 8000 * error)
    return complete_trial(trial, estimate, counts(flat_share), 8000, 2.0, has_gaps=has_gaps)


def test_the_finest_level_takes_about_what_is_estimated() -> None:
    for bits in (0.1, 1.0, 4.0):
        assert 0.7 < tried(bits, 0.3).bits / (8000 * bits) < 1.1
    for error in (0.05, 0.08):
        assert 0.6 < tried(1.0, 0.3, error).squared_error / (8000 * error * 2.0**2) < 1.2


def test_gaps_cost_bits_of_the_finest_level() -> None:
    assert 1.05 < tried(1.0, 0.3, has_gaps=True).bits / tried(1.0, 0.3).bits < 1.12


def test_a_trial_of_nothing_tells_nothing() -> None:
    nothing = complete_trial(Trial(0.0, 0.0, 0), Estimate(0.0, 0.0), counts(0.0), 0, 1.0, has_gaps=False)
    assert nothing == Estimate(0.0, 0.0)


def test_many_bits_are_estimated_best() -> None:
    most = [most_of_cost(cost) for cost in (0.01, 0.5, 1.0, 2.0, 4.0, 9.0)]
    assert most == sorted(most, reverse=True)
    assert 1 < most[-1] < 1.1 < 1.4 < most[0]
