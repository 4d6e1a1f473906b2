"""The training loss of block autoencoders."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blocks import blend_window
from nvc_jax.autoencoder.networks import Params, bind
from nvc_jax.autoencoder.training.config import TrainingConfig
from nvc_jax.core.model import ModelConfig


def evaluate_blocks(config: TrainingConfig, params: Params, blocks: jax.Array | np.ndarray) -> float:
    """Mean squared error over whole blocks, decoded from their latents' means."""
    chunk = 4096
    total = sum(
        float(_squared_error(config.model, params, jnp.asarray(blocks[i : i + chunk])))
        for i in range(0, blocks.shape[0], chunk)
    )
    return total / blocks.size


@functools.partial(jax.jit, static_argnums=0)
def _squared_error(model: ModelConfig, params: Params, blocks: jax.Array) -> jax.Array:
    autoencoder = bind(model, params)
    return jnp.sum((autoencoder.decode(autoencoder.encode(blocks)[0]) - blocks) ** 2)


def _loss_weights(config: TrainingConfig) -> np.ndarray:
    """Weight of every voxel of a block in the loss, mean 1."""
    model = config.model
    if config.loss_window == "uniform":
        return np.ones((1, *[model.side] * 3), np.float32)
    window = blend_window(model.block_size, model.margin)
    cube = window[:, None, None] * window[:, None] * window
    return (cube / cube.mean())[None]


def loss_of(config: TrainingConfig, params: Params, blocks: jax.Array, *, key: jax.Array) -> jax.Array:
    """The training loss of one batch: weighted squared error, plus the weighted KL divergence."""
    model = bind(config.model, params)
    mean, log_variance = model.encode(blocks)
    latents = mean
    if config.sample_latents:
        latents += jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    loss = jnp.mean(_loss_weights(config) * (model.decode(latents) - blocks) ** 2)
    if config.kl_weight:
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=-1)
        loss += config.kl_weight * jnp.mean(divergence)
    return loss


def random_symmetry(blocks: jax.Array, *, key: jax.Array) -> jax.Array:
    """Apply one random symmetry of the cube to all blocks of a batch."""
    order_key, flip_key = jax.random.split(key)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    branches = [functools.partial(jnp.transpose, axes=(0, *(axis + 1 for axis in order))) for order in orders]
    blocks = lax.switch(jax.random.randint(order_key, (), 0, len(orders)), branches, blocks)
    for axis, flip in enumerate(jax.random.bernoulli(flip_key, shape=(3,)), start=1):
        blocks = jnp.where(flip, jnp.flip(blocks, axis), blocks)
    return blocks
