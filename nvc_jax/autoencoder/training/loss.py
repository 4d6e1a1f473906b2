"""Losses of block autoencoders: of a training batch, and of held-out blocks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.blending import blend_window
from nvc_jax.autoencoder.networks import bind
from nvc_jax.autoencoder.training.settings import AutoencoderSettings
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params

_VALIDATION_BLOCKS = 4096
"""Held-out blocks decoded at a time; it bounds memory."""


def training_loss(
    settings: AutoencoderSettings, params: Params, blocks: jax.Array, *, key: jax.Array
) -> jax.Array:
    """Compute the loss of one batch: the weighted squared error plus the weighted divergence of the latents.

    Args:
        settings: of the training.
        params: parameters of ``settings.model``.
        blocks: float32 (n, side, side, side) in [0, 1].
        key: randomness of sampled latents.

    Returns:
        float32, the mean over voxels plus ``kl_weight`` times the mean over blocks.
    """
    model = bind(settings.model, params)
    mean, log_variance = model.encode(blocks)
    latents = mean
    if settings.sample_latents:
        latents += jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)

    loss = jnp.mean(_loss_weights(settings) * (model.decode(latents) - blocks) ** 2)
    if settings.kl_weight:
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=-1)
        loss += settings.kl_weight * jnp.mean(divergence)
    return loss


def validation_loss(model: ModelConfig, params: Params, blocks: jax.Array | np.ndarray) -> float:
    """Compute the mean squared error of whole blocks, decoded from the means of their latents.

    Args:
        model: configuration of the autoencoder.
        params: parameters of ``model``.
        blocks: float32 (n, side, side, side) in [0, 1].
    """
    total = sum(
        float(_squared_error(model, params, jnp.asarray(blocks[start : start + _VALIDATION_BLOCKS])))
        for start in range(0, blocks.shape[0], _VALIDATION_BLOCKS)
    )
    return total / blocks.size


@functools.partial(jax.jit, static_argnums=0)
def _squared_error(model: ModelConfig, params: Params, blocks: jax.Array) -> jax.Array:
    autoencoder = bind(model, params)
    return jnp.sum((autoencoder.decode(autoencoder.encode(blocks)[0]) - blocks) ** 2)


def _loss_weights(settings: AutoencoderSettings) -> np.ndarray:
    """Compute the weight of every voxel of a block, float32 (1, side, side, side), mean 1."""
    model = settings.model
    if settings.loss_window == "uniform":
        return np.ones((1, *[model.side] * 3), np.float32)
    window = blend_window(model.block_size, model.margin)
    cube = window[:, None, None] * window[:, None] * window
    return (cube / cube.mean())[None]
