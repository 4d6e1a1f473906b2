import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.spectral.training.config import SpectralTraining


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="must be a spectral model"):
        SpectralTraining(DenseConfig())
    with pytest.raises(ValueError, match=r"`blocks_per_volume` \(=0\)"):
        SpectralTraining(blocks_per_volume=0)


def test_a_card_states_the_method_and_the_blocks() -> None:
    assert SpectralTraining().card_settings.keys() == {"entropy model", "blocks_per_volume"}
