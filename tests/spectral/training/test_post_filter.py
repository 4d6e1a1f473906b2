import jax
import numpy as np
import pytest

from nvc_jax.spectral.post_filter import N_INPUTS, abstract_filter, estimate_errors
from nvc_jax.spectral.training.filter_samples import FilterSamples
from nvc_jax.spectral.training.post_filter import fit_filter
from nvc_jax.training.mesh import make_mesh


def test_a_filter_finds_errors_that_its_inputs_tell() -> None:
    """Half of the squared error follows from two inputs; the other half is noise."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(3, 2, (20_000, N_INPUTS)).astype(np.float32)
    told = np.abs(inputs[:, 0] - inputs[:, 7])
    told = (told - told.mean()) / told.std()
    errors = ((told + rng.normal(0, 1, len(told))) / np.sqrt(2)).astype(np.float32)
    samples = FilterSamples(inputs, errors, np.ones_like(errors))
    network, left = fit_filter(samples, 8, 200, make_mesh(jax.devices()[:1]), seed=1)
    assert {name: leaf.shape for name, leaf in network.items()} == {
        name: leaf.shape for name, leaf in abstract_filter(8)["filter"].items()
    }
    assert 0.45 < left < 0.62
    estimated = np.asarray(estimate_errors(network, inputs.T))
    assert np.mean((errors - estimated) ** 2) == pytest.approx(left, abs=0.05)
