import numpy as np

from nvc_jax.reporting.measures import Histogram, Spectrum
from nvc_jax.reporting.plots import plot_errors, plot_spectra, plot_values

EDGES = np.linspace(-1, 1, 12)


def test_errors_are_shown_with_the_bound() -> None:
    histograms = {"nvc-1": Histogram(EDGES, np.arange(11)), "zfp": Histogram(EDGES, np.arange(11)[::-1])}
    text = plot_errors(histograms, 0.5)
    for word in ("nvc-1", "zfp", "bound ±0.5", "voxels"):
        assert word in text
    assert "bound" not in plot_errors(histograms, None)


def test_nothing_to_count_is_drawn_without_a_warning() -> None:
    empty, silent = Histogram(EDGES, np.zeros(11, int)), Spectrum(np.array([0.1]), np.zeros(1))
    assert "original" in plot_values(empty, empty, "nvc-1")
    assert "cycles/voxel" in plot_spectra(silent, silent, {"nvc-1": silent})
