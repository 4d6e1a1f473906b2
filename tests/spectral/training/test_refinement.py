import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fronts import SIDE, fronts

from nvc_jax.core.normalization import finite_range
from nvc_jax.core.parameters import Params
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.profiles import Profiles
from nvc_jax.spectral.refinement import refine
from nvc_jax.spectral.training import refinement
from nvc_jax.spectral.training.entropy_model import fit_profiles
from nvc_jax.spectral.training.examples import observe_blocks
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

GRID = (SIDE // BLOCK_SIZE,) * 3
CONFIG = SpectralConfig(n_classes=8, n_tables=8, n_profiles=2)


@pytest.fixture(scope="module")
def entropy() -> Profiles:
    """Profiles of an entropy model fitted on small volumes."""
    return fit_profiles([fronts(seed) for seed in range(8)], CONFIG, blocks_per_volume=64)


@pytest.fixture(scope="module")
def params(entropy: Profiles) -> Params:
    """Parameters of a refinement trained on the same volumes."""
    volumes = [fronts(seed) for seed in range(8)]
    return refinement.fit_refinement(entropy, volumes, n_steps=200, cubes_per_volume=4, augment=False)


def test_fitting_lowers_the_error_on_other_volumes(entropy: Profiles, params: Params) -> None:
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert params["gains"].min() >= 0
    assert params["gains"].max() <= 1
    before, after = 0.0, 0.0
    for seed in (100, 101, 102):
        volume = jnp.asarray(fronts(seed))
        for step in (0.1, 0.3):
            blocks = observe_blocks(entropy, volume, *finite_range(volume), jnp.float32(step))
            errors = np.asarray(blocks.errors)
            refinements = np.asarray(
                refine(params, blocks.values, entropy["order"], blocks.classes, blocks.filter_modes, GRID)
            )
            before += (errors**2).sum()
            after += ((errors - refinements) ** 2).sum()
    assert after < 0.97 * before


def test_fitting_repeats_itself(entropy: Profiles) -> None:
    def fit(seed: int) -> list:
        volumes = [fronts(0), fronts(1)[:20, :24]]
        return jax.tree.leaves(
            refinement.fit_refinement(entropy, volumes, seed=seed, n_steps=5, cubes_per_volume=2)
        )

    first, again, other = fit(0), fit(0), fit(1)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(first, other, strict=True))
