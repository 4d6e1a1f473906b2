"""Parameters of networks, drawn by NumPy: nothing is compiled."""

import math

import jax
import numpy as np

from nvc_jax.autoencoder.networks import abstract_params
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params


def draw_params(config: ModelConfig) -> Params:
    """Draw parameters like ``init_params``: kernels of variance 1 / inputs, float32, and biases of 0."""
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        deviation = 1 / math.sqrt(math.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0
        return jax.device_put(rng.normal(0, deviation, leaf.shape).astype(np.float32))

    return jax.tree.map(draw, abstract_params(config))
