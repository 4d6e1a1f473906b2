"""Models rounded as kernels of TPUs round them, and parameters with which sums are exact."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import LARGEST_VOXEL, dither, round_kernel

LIMITS = (jnp.float32(0), jnp.float32(LARGEST_VOXEL))


class _RoundedDecoder(DenseAutoencoder):
    def decode_hidden(self, latents: jax.Array) -> jax.Array:
        return super().decode_hidden(latents).astype(jnp.bfloat16).astype(jnp.float32)


def round_encoder(model: DenseAutoencoder) -> DenseAutoencoder:
    """Get a model whose first layer's kernel is rounded."""
    rounded, kernel = copy.deepcopy(model), model.encoder[0].kernel[...]
    side = model.config.side
    integers, scale = round_kernel(kernel.reshape(side, side**2, -1))
    rounded.encoder[0].kernel[...] = integers.reshape(kernel.shape) * scale
    return rounded


def round_decoder(model: DenseAutoencoder) -> DenseAutoencoder:
    """Get a model whose last hidden values and last kernel are rounded to bfloat16."""
    rounded = _RoundedDecoder(model.config, model.arithmetic, rngs=nnx.Rngs(0))
    nnx.update(rounded, nnx.state(model))
    kernel = rounded.output.kernel[...]
    rounded.output.kernel[...] = kernel.astype(jnp.bfloat16).astype(jnp.float32)
    return rounded


def make_exact(model: DenseAutoencoder) -> None:
    """Make hidden values of a decoder such that float32 sums them exactly, of latents from -1 to 1."""
    for layer in model.decoder:
        layer.kernel[...] = jnp.round(layer.kernel[...] * 16) * (1 / 16)


def draw_latents(*shape: int) -> jax.Array:
    """Draw latents for a model of ``make_exact``: -1, 0 or 1."""
    return jnp.asarray(np.random.default_rng(0).integers(-1, 2, size=shape).astype(np.float32))


def draw_volume(*shape: int) -> np.ndarray:
    """Draw eighths in [0, 255], never at the threshold of a rounding; some are missing or beyond."""
    volume = np.random.default_rng(0).integers(0, 8 * LARGEST_VOXEL + 1, size=shape) / np.float32(8)
    volume[3, 4, 5], volume[0, 0, 0], volume[0, 1, 0] = np.nan, np.inf, -np.inf
    return volume


def round_volume(volume: np.ndarray) -> jax.Array:
    """Round a volume of ``draw_volume`` as kernels do."""
    voxels = jnp.clip(jnp.nan_to_num(jnp.asarray(volume), nan=0.0), *LIMITS)
    return jnp.floor(voxels + dither(voxels.shape) + 0.5)
