"""Networks of the block autoencoders (paper, section 2.2).

Every architecture maps blocks (n, side, side, side) in [0, 1] to latents (n, latent_dim) and back, with
side = block_size + 2·margin. All arrays are float32.
"""

import functools
import itertools
import math
from abc import abstractmethod
from typing import Any

import jax
from flax import nnx

from nvc_jax.autoencoder.arithmetic import DEFAULT_ARITHMETIC, Arithmetic
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.convolutions import convolve_doubling, convolve_halving
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params, merge_params

LEAKY_SLOPE = 0.01
"""Slope of the leaky ReLU for negative inputs, as in the published networks."""


class BlockAutoencoder(nnx.Module):
    """Interface of a block autoencoder, for the codec and the training loop.

    Attributes:
        config: configuration of the network.
        arithmetic: of its matrix products.
    """

    config: ModelConfig
    arithmetic: Arithmetic

    def _apply(self, layer: nnx.Linear, values: jax.Array) -> jax.Array:
        """Apply a dense layer to values (…, inputs): float32 (…, outputs)."""
        assert layer.bias is not None
        products = self.arithmetic.multiply(values, layer.kernel[...])
        return products + layer.bias[...].reshape(*[1] * (values.ndim - 1), -1)

    @abstractmethod
    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode blocks (n, side, side, side) into latents: mean and log-variance, each (n, latent_dim)."""

    @abstractmethod
    def decode(self, latents: jax.Array) -> jax.Array:
        """Decode latents (n, latent_dim) into blocks (n, side, side, side) in (0, 1)."""

    def decode_core(self, latents: jax.Array) -> jax.Array:
        """Decode latents (n, latent_dim) into blocks' cores (n, block_size, block_size, block_size)."""
        core = slice(self.config.margin, self.config.margin + self.config.block_size)
        return self.decode(latents)[:, core, core, core]


class DenseAutoencoder(BlockAutoencoder):
    """Fully connected variational autoencoder: leaky ReLU between layers, sigmoid output."""

    def __init__(self, config: DenseConfig, arithmetic: Arithmetic, *, rngs: nnx.Rngs) -> None:
        self.config, self.arithmetic = config, arithmetic
        sizes = (config.side**3, *config.hidden_sizes)
        self.encoder = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.mean = nnx.Linear(sizes[-1], config.latent_dim, rngs=rngs)
        self.log_variance = nnx.Linear(sizes[-1], config.latent_dim, rngs=rngs)
        sizes = (config.latent_dim, *config.hidden_sizes[::-1])
        self.decoder = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.output = nnx.Linear(sizes[-1], config.side**3, rngs=rngs)

    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        flat = blocks.reshape(blocks.shape[0], -1)
        return self.encode_products(self.arithmetic.multiply(flat, self.encoder[0].kernel[...]))

    def encode_products(self, products: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode what the first layer's kernel makes of blocks, float32 (n, units); else as ``encode``."""
        hidden = self._activate(self.encoder[0], products)
        for layer in list(self.encoder)[1:]:
            hidden = self._activate(layer, self.arithmetic.multiply(hidden, layer.kernel[...]))
        return self._apply(self.mean, hidden), self._apply(self.log_variance, hidden)

    def _activate(self, layer: nnx.Linear, products: jax.Array) -> jax.Array:
        """Complete a hidden layer, whose results are kept for the next one."""
        assert layer.bias is not None
        return nnx.leaky_relu(self.arithmetic.keep(products + layer.bias[...].reshape(1, -1)), LEAKY_SLOPE)

    def decode_hidden(self, latents: jax.Array) -> jax.Array:
        """Decode latents (n, latent_dim) up to the last hidden layer: (n, units)."""
        for layer in self.decoder:
            latents = self._activate(layer, self.arithmetic.multiply(latents, layer.kernel[...]))
        return latents

    def decode(self, latents: jax.Array) -> jax.Array:
        values = nnx.sigmoid(self._apply(self.output, self.decode_hidden(latents)))
        return values.reshape(-1, *[self.config.side] * 3)

    def decode_core(self, latents: jax.Array) -> jax.Array:
        # The last layer computes the core's columns only: 8³ of a 12³ block are 3.4 times less work.
        core = slice(self.config.margin, self.config.margin + self.config.block_size)
        sides = [self.config.side] * 3
        kernel = self.output.kernel[...].reshape(-1, *sides)[:, core, core, core]
        assert self.output.bias is not None
        bias = self.output.bias[...].reshape(*sides)[core, core, core]
        hidden = self.decode_hidden(latents)
        products = self.arithmetic.multiply(hidden, kernel.reshape(kernel.shape[0], -1))
        return nnx.sigmoid(products + bias.reshape(1, -1)).reshape(-1, *[self.config.block_size] * 3)


class ConvolutionalAutoencoder(BlockAutoencoder):
    """Convolutional variational autoencoder: strided 3-D convolutions, a dense latent layer, sigmoid output.

    The decoder mirrors the encoder by a dense layer and transposed convolutions.
    """

    def __init__(self, config: ConvolutionalConfig, arithmetic: Arithmetic, *, rngs: nnx.Rngs) -> None:
        self.config, self.arithmetic = config, arithmetic
        kernel, strides = (3, 3, 3), (2, 2, 2)
        channels = (1, *config.channels)
        self._coarse = (*[config.side // 2 ** len(config.channels)] * 3, channels[-1])
        flat = math.prod(self._coarse)
        self.encoder = nnx.List(
            [nnx.Conv(a, b, kernel, strides=strides, rngs=rngs) for a, b in itertools.pairwise(channels)]
        )
        self.mean = nnx.Linear(flat, config.latent_dim, rngs=rngs)
        self.log_variance = nnx.Linear(flat, config.latent_dim, rngs=rngs)
        self.expand = nnx.Linear(config.latent_dim, flat, rngs=rngs)
        channels = channels[::-1]
        self.decoder = nnx.List(
            [
                nnx.ConvTranspose(a, b, kernel, strides=strides, rngs=rngs)
                for a, b in itertools.pairwise(channels)
            ]
        )

    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = blocks[..., None]
        for layer in self.encoder:
            convolved = convolve_halving(hidden, layer, self.arithmetic.multiply)
            hidden = nnx.leaky_relu(self.arithmetic.keep(convolved), LEAKY_SLOPE)
        hidden = hidden.reshape(hidden.shape[0], -1)
        return self._apply(self.mean, hidden), self._apply(self.log_variance, hidden)

    def decode(self, latents: jax.Array) -> jax.Array:
        hidden = self._apply(self.expand, latents).reshape(-1, *self._coarse)
        for layer in self.decoder:
            kept = nnx.leaky_relu(self.arithmetic.keep(hidden), LEAKY_SLOPE)
            hidden = convolve_doubling(kept, layer, self.arithmetic.multiply)
        return nnx.sigmoid(hidden[..., 0])


_AUTOENCODERS: dict[str, type[BlockAutoencoder]] = {
    DenseConfig.architecture: DenseAutoencoder,
    ConvolutionalConfig.architecture: ConvolutionalAutoencoder,
}


def _build(config: ModelConfig, arithmetic: Arithmetic, rngs: nnx.Rngs) -> BlockAutoencoder:
    return _AUTOENCODERS[config.architecture](config, arithmetic, rngs=rngs)  # type: ignore[call-arg]


def init_params(config: ModelConfig, *, key: jax.Array) -> Params:
    """Initialise the parameters of the autoencoder of ``config`` at random."""
    model = _build(config, DEFAULT_ARITHMETIC, nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@functools.lru_cache
def _split_abstract(config: ModelConfig, arithmetic: Arithmetic) -> tuple[Any, Any]:
    """Split the autoencoder of ``config`` into its graph and the shapes and dtypes of its parameters."""
    model = nnx.eval_shape(lambda: _build(config, arithmetic, nnx.Rngs(0)))
    return nnx.split(model)


def abstract_params(config: ModelConfig) -> Params:
    """Describe the parameters of ``config``: their nested dict with shapes and dtypes in place of arrays."""
    return nnx.to_pure_dict(_split_abstract(config, DEFAULT_ARITHMETIC)[1])


def bind(
    config: ModelConfig, params: Params, arithmetic: Arithmetic = DEFAULT_ARITHMETIC
) -> BlockAutoencoder:
    """Build the autoencoder of ``config`` with ``params``; may be called while tracing."""
    return merge_params(_split_abstract(config, arithmetic), params)
