"""Small models and volumes on which the forms of the codec are compared with each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from drawn_params import draw_params

from nvc_jax.autoencoder import slabs
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import BlockAutoencoder, bind
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import check_shape

CONFIGS = {
    "no margin": DenseConfig(block_size=4, margin=0, hidden_sizes=(16, 8), latent_dim=8),
    "margin": DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=8),
    "half as wide": DenseConfig(block_size=4, margin=2, hidden_sizes=(16,), latent_dim=8),
    "as wide as blocks": DenseConfig(block_size=4, margin=4, hidden_sizes=(16,), latent_dim=8),
    "convolutional": ConvolutionalConfig(block_size=4, margin=2, channels=(4,), latent_dim=8),
}
VOLUME = np.random.default_rng(0).uniform(1, 200, (9, 13, 6)).astype(np.float32)
LIMITS = (jnp.float32(VOLUME.min()), jnp.float32(VOLUME.max()))
RANGE = float(VOLUME.max() - VOLUME.min())
ROUNDING = 2.0**-21
"""Share of the range by which float32 sums in another order may differ: a few units in the last place."""


@functools.cache
def params_of(config: ModelConfig) -> Params:
    return draw_params(config)


@functools.cache
def encode_in_slabs(config: ModelConfig) -> jax.Array:
    return jax.jit(lambda params: slabs.encode_slabs(bind(config, params), 64, jnp.asarray(VOLUME), *LIMITS))(
        params_of(config)
    )


def as_encoded(latents: jax.Array, dtype: str = "float32") -> EncodedLatents:
    low, high = LIMITS
    shape = check_shape(VOLUME.shape)
    return EncodedLatents(latents=latents, minimum=low, maximum=high, shape=shape, dtype=dtype)


def decode_in_slabs(model: BlockAutoencoder, encoded: EncodedLatents, mode: str) -> jax.Array:
    return slabs.decode_layers(model, encoded) if mode == "blend" else slabs.decode_slabs(model, 64, encoded)
