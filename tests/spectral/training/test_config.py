import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.spectral.training.config import SpectralTraining


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="must be a spectral model"):
        SpectralTraining(DenseConfig())
    with pytest.raises(ValueError, match=r"`blocks_per_volume` \(=0\)"):
        SpectralTraining(blocks_per_volume=0)
    with pytest.raises(ValueError, match=r"`refinement_steps` \(=0\)"):
        SpectralTraining(refinement_steps=0)


def test_a_card_states_the_steps_of_the_refinement() -> None:
    assert SpectralTraining().card_settings["refinement"] == "AdamW, at most 8000 steps of 512 blocks"
    settings = SpectralTraining(refinement_steps=300).card_settings
    assert settings["refinement"] == "AdamW, 300 steps of 512 blocks"
