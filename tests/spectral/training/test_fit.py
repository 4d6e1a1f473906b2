import jax
import numpy as np
import pytest
from fronts import fronts

import nvc_jax
from nvc_jax.core.parameters import Params
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.fit import fit_spectral

CONFIG = SpectralConfig(n_classes=8, n_tables=8, n_profiles=2)


@pytest.fixture(scope="module")
def params() -> Params:
    volumes = [fronts(seed) for seed in range(8)]
    return fit_spectral(volumes, CONFIG, blocks_per_volume=64)


def test_a_model_fitted_in_a_domain_is_better_there(params: Params) -> None:
    volume = fronts(103)

    def round_trip(codec: nvc_jax.Codec) -> tuple[float, int]:
        encoded = nvc_jax.encode_volume(codec, volume, step=0.1)
        return psnr_db(volume, np.asarray(nvc_jax.decode_volume(codec, encoded))), int(encoded.used_bytes)

    fitted, shipped = nvc_jax.Codec(CONFIG, params), nvc_jax.load_codec("nvc-1")
    (psnr_fitted, n_fitted), (psnr_shipped, n_shipped) = (round_trip(codec) for codec in (fitted, shipped))
    assert psnr_fitted > psnr_shipped - 0.5
    assert n_fitted < 0.9 * n_shipped


def test_parameters_are_those_of_the_configuration(params: Params) -> None:
    assert params.keys() == {"entropy"}
    assert len(params["entropy"]["tables"]) == CONFIG.n_profiles
    assert params["entropy"]["tables"].shape[1] == CONFIG.n_classes
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
