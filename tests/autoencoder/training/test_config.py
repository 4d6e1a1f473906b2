import numpy as np
import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.training.progress import RunOptions


def test_bad_settings_are_named() -> None:
    for name, value in (
        ("epochs", 0),
        ("batch_size", 0),
        ("steps_per_dispatch", 0),
        ("learning_rate", 0.0),
        ("kl_weight", -1.0),
        ("schedule", "linear"),
        ("loss_window", "cosine"),
        ("model", SpectralConfig()),
    ):
        with pytest.raises(ValueError, match=rf"`{name}` \(="):
            AutoencoderTraining(**{name: value})


def test_a_card_lists_the_settings_but_not_the_model() -> None:
    settings = AutoencoderTraining(epochs=3).card_settings
    assert settings["epochs"] == 3
    assert settings.keys() == {
        *("epochs", "batch_size", "learning_rate", "schedule", "sample_latents", "kl_weight"),
        *("loss_window", "blocks_per_volume", "augment"),
    }


def test_volumes_are_cut_trained_on_and_validated() -> None:
    model = DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=6)
    config = AutoencoderTraining(model, epochs=2, batch_size=4, blocks_per_volume=12)
    volume = np.random.default_rng(0).uniform(1, 2, (9, 9, 9)).astype(np.float32)
    trained = config.run([volume], RunOptions(validation=[volume]))
    assert trained.sources == ("volume-0",)
    assert [progress.step for progress in trained.history] == [3, 6]
    assert all(progress.validation_loss is not None for progress in trained.history)
    assert trained.params["mean"]["kernel"].shape == (16, 6)
