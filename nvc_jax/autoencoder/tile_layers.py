"""Layers of the networks within kernels of TPUs: each is three products of bfloat16, and an activation."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nvc_jax.autoencoder.networks import LEAKY_SLOPE, BlockAutoencoder, DenseAutoencoder
from nvc_jax.autoencoder.tile_operations import (
    BLOCK,
    LANES,
    Parts,
    multiply,
    multiply_once,
    split,
    swap_lanes,
)
from nvc_jax.core.platforms import may_use_tpu_kernels
from nvc_jax.core.shapes import Shape3

LARGEST_LAYER = 512
"""Largest width of a layer: the parameters of all layers stay in a core's own memory."""

Layer = tuple[jax.Array, jax.Array, jax.Array]
"""A layer: its kernel's two parts, bfloat16 (outputs, inputs), and its bias, float32 (outputs, 1)."""


def suits_kernels(model: BlockAutoencoder, shape: Shape3, least_shape: Shape3) -> bool:
    """Tell whether a volume and the blocks and layers of a model suit kernels, in three passes of bfloat16.

    Args:
        model: of blocks.
        shape: voxels of the volume along z, y, x.
        least_shape: voxels that it must have at least.
    """
    if not isinstance(model, DenseAutoencoder) or not may_use_tpu_kernels():
        return False
    widths = (*model.config.hidden_sizes, model.config.latent_dim)  # type: ignore[attr-defined]
    return (
        model.config.block_size == BLOCK
        and model.arithmetic.precision == lax.Precision.HIGH
        and max(widths) <= LARGEST_LAYER
        and all(length >= least for length, least in zip(shape, least_shape, strict=True))
    )


def bias_of(layer: nnx.Linear) -> jax.Array:
    """Get the bias of a layer, float32 (outputs,)."""
    assert layer.bias is not None
    return layer.bias[...]


def decode_hidden(references: Sequence[Any], latents: jax.Array) -> jax.Array:
    """Decode latents up to the last hidden layer: float32 (outputs, n).

    The latents are few, so the three passes of the first layer fit beside each other into one or two.

    Args:
        references: the first kernel's parts for the products of three passes beside each other, bfloat16
            (outputs, 3 · inputs), and its bias, float32 (outputs, 1); the parts of the other layers.
        latents: float32 (n, inputs), blocks in the order of lanes.
    """
    kernel, bias, *layers = references
    first, rest = split(latents)
    in_passes = jnp.concatenate([first, rest, first], axis=1)
    sums = multiply_once(kernel[...], in_passes, transposes_right=True)
    outputs = activate(sums + bias[...])
    return apply_layers(layers, split(outputs)) if layers else outputs


def apply_layers(references: Sequence[Any], values: Parts, *, is_last_linear: bool = False) -> jax.Array:
    """Apply layers to the blocks in lanes: float32 (outputs, n).

    Args:
        references: the parts of each layer, one layer after the other.
        values: parts of inputs (inputs, n).
        is_last_linear: whether the last layer has no leaky ReLU.
    """
    outputs, n_layers = jnp.zeros((1, LANES), jnp.float32), len(references) // 3
    for index in range(n_layers):
        kernel, rest, bias = references[3 * index : 3 * index + 3]
        values = split(outputs) if index else values
        outputs = multiply((kernel[...], rest[...]), values) + bias[...]
        if not (is_last_linear and index == n_layers - 1):
            outputs = activate(outputs)
    return outputs


def activate(outputs: jax.Array) -> jax.Array:
    """Apply the leaky ReLU."""
    return jnp.maximum(outputs, LEAKY_SLOPE * outputs)


def swap_in_kernel(registers: Sequence[jax.Array]) -> list[jax.Array]:
    """Swap lanes of arrays (…, 128) as ``swap_lanes`` does, by the permutation of lanes that TPUs have."""
    shape = registers[0].shape
    swapped = swap_lanes([array.reshape(-1, LANES) for array in registers])
    return [array.reshape(shape) for array in swapped]
