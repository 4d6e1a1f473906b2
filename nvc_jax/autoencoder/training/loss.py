"""Losses of block autoencoders: of a training batch, and of held-out blocks."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.blending import blend_window
from nvc_jax.autoencoder.networks import bind
from nvc_jax.autoencoder.training.settings import AutoencoderSettings
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.training.mesh import gather_from_processes, make_mesh, replicate, share_rows
from nvc_jax.training.stream import BlockSource

_VALIDATION_BLOCKS = 512
"""Held-out blocks decoded at a time, at most; it bounds memory."""


def training_loss(
    settings: AutoencoderSettings, params: Params, blocks: jax.Array, noise: jax.Array
) -> jax.Array:
    """Compute the loss of one batch: the weighted squared error plus the weighted divergence of the latents.

    Args:
        settings: of the training.
        params: parameters of ``settings.model``.
        blocks: float32 (n, side, side, side) in [0, 1].
        noise: float32 (n, latent_dim), of a unit normal distribution, by which latents are sampled.

    Returns:
        float32, the mean over voxels plus ``kl_weight`` times the mean over blocks.
    """
    model = bind(settings.model, params)
    mean, log_variance = model.encode(blocks)
    latents = mean
    if settings.sample_latents:
        latents += jnp.exp(0.5 * log_variance) * noise

    loss = jnp.mean(_loss_weights(settings) * (model.decode(latents) - blocks) ** 2)
    if settings.kl_weight:
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=-1)
        loss += settings.kl_weight * jnp.mean(divergence)
    return loss


def validation_loss(model: ModelConfig, params: Params, source: BlockSource) -> float:
    """Compute the mean squared error of whole blocks, decoded from the means of their latents.

    Every process takes its share of the regions, and every device of it a share of the blocks.

    Args:
        model: configuration of the autoencoder.
        params: parameters of ``model``, the same on all devices.
        source: of the held-out blocks.
    """
    mesh = make_mesh(jax.local_devices())
    params = replicate(mesh, jax.device_get(params))
    total = 0.0
    for region in range(jax.process_index(), len(source.counts), jax.process_count()):
        blocks = source.read(region).take(np.arange(source.counts[region]))
        for start in range(0, len(blocks), _VALIDATION_BLOCKS):
            part = blocks[start : start + _VALIDATION_BLOCKS]
            n_padding = _padded_length(len(part), mesh.size) - len(part)
            padded = np.pad(part, ((0, n_padding), *[(0, 0)] * (part.ndim - 1)))
            total += float(_squared_error(model, params, share_rows(mesh, padded), len(part)))
    n_values = int(source.counts.sum()) * math.prod(source.block_shape)
    return float(gather_from_processes(np.array(total)).sum()) / n_values


def _padded_length(n_blocks: int, n_devices: int) -> int:
    """Round a number of blocks up to a power of two that devices can share: few lengths are few programs."""
    return math.lcm(1 << (n_blocks - 1).bit_length(), n_devices)


@functools.partial(jax.jit, static_argnums=0)
def _squared_error(model: ModelConfig, params: Params, blocks: jax.Array, n_valid: jax.Array) -> jax.Array:
    """Sum the squared errors of the first ``n_valid`` blocks."""
    autoencoder = bind(model, params)
    errors = (autoencoder.decode(autoencoder.encode(blocks)[0]) - blocks) ** 2
    is_valid = jnp.arange(blocks.shape[0]) < n_valid
    return jnp.sum(jnp.where(is_valid[:, None, None, None], errors, 0))


def _loss_weights(settings: AutoencoderSettings) -> np.ndarray:
    """Compute the weight of every voxel of a block, float32 (1, side, side, side), mean 1."""
    model = settings.model
    if settings.loss_window == "uniform":
        return np.ones((1, *[model.side] * 3), np.float32)
    window = blend_window(model.block_size, model.margin)
    cube = window[:, None, None] * window[:, None] * window
    return (cube / cube.mean())[None]
