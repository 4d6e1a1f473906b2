import numpy as np
import pytest

from nvc_jax.reporting.measures import error_histogram, power_spectrum, value_histogram

RANDOM = np.random.default_rng(0)


def test_errors_within_the_limit_are_counted() -> None:
    original = RANDOM.normal(size=(8, 9, 10))
    decoded = original.copy()
    decoded[0, 0, :4] += [0.5, -0.5, 3, np.nan]
    histogram = error_histogram(decoded - original, 1.0)
    assert histogram.counts.sum() == original.size - 2
    assert histogram.counts[len(histogram.counts) // 2] == original.size - 4
    assert (histogram.edges[0], histogram.edges[-1]) == (-1, 1)


def test_values_are_counted_also_where_all_are_equal() -> None:
    values = np.full((2, 3, 4), 5.0)
    values[0, 0, 0] = np.nan
    assert value_histogram(values, 5, 5).counts.sum() == values.size - 1


@pytest.mark.parametrize("shape", [(32, 32, 32), (1, 64, 64), (4, 48, 64)])
def test_a_wave_has_its_power_at_its_frequency(shape: tuple[int, int, int]) -> None:
    wave = np.broadcast_to(np.sin(2 * np.pi * 0.25 * np.arange(shape[2])), shape)
    spectrum = power_spectrum(wave)
    peak = spectrum.frequencies[spectrum.power.argmax()]
    assert peak == pytest.approx(0.25, abs=0.03)


def test_noise_has_power_at_all_frequencies() -> None:
    spectrum = power_spectrum(RANDOM.normal(size=(32, 32, 32)))
    assert spectrum.power.min() > spectrum.power.mean() / 4
    assert not power_spectrum(np.full((4, 4, 4), np.nan)).power.any()


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-70, 2.0**60, 2.0**100])
def test_power_is_that_of_any_unit(scale: float) -> None:
    values = np.random.default_rng(0).normal(size=(16, 16, 16))
    spectrum, scaled = power_spectrum(values), power_spectrum(values * scale)
    np.testing.assert_allclose(scaled.power, spectrum.power * scale**2, rtol=1e-6)
