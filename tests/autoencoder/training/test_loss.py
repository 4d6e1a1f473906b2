import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_params import draw_params

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import bind
from nvc_jax.autoencoder.training.blocks import BlockArray
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loss import training_loss, validation_loss
from nvc_jax.core.parameters import Params

MODEL = DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=6)
PLAIN = AutoencoderTraining(MODEL, sample_latents=False)
BLOCKS = np.random.default_rng(1).random((7, 6, 6, 6), np.float32)


@functools.cache
def make_params() -> Params:
    return draw_params(MODEL)


def loss(config: AutoencoderTraining, seed: int = 0) -> float:
    noise = jax.random.normal(jax.random.key(seed), (len(BLOCKS), MODEL.latent_dim))
    return float(training_loss(config, make_params(), jnp.asarray(BLOCKS), noise))


def test_the_plain_loss_is_the_mean_squared_error() -> None:
    model = bind(MODEL, make_params())
    decoded = model.decode(model.encode(jnp.asarray(BLOCKS))[0])
    expected = float(np.mean((np.asarray(decoded) - BLOCKS) ** 2))
    assert loss(PLAIN) == pytest.approx(expected, rel=1e-5)
    source = BlockArray(BLOCKS)
    assert validation_loss(MODEL, make_params(), source) == pytest.approx(expected, rel=1e-5)


def test_options_change_the_loss() -> None:
    plain = loss(PLAIN)
    assert loss(dataclasses.replace(PLAIN, kl_weight=1e-2)) > plain
    assert loss(dataclasses.replace(PLAIN, loss_window="blend")) != plain
    sampling = dataclasses.replace(PLAIN, sample_latents=True)
    assert loss(sampling, seed=0) != loss(sampling, seed=1)
    assert loss(PLAIN, seed=0) == loss(PLAIN, seed=1)
