"""Strided 3-D convolutions as matrix products.

XLA's own strided convolutions of few channels are 5 to 500 times as slow on CPUs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

Multiply = Callable[[jax.Array, jax.Array], jax.Array]
"""A product of rows (n, k) and a kernel (k, m)."""


def convolve_halving(values: jax.Array, layer: nnx.Conv, multiply: Multiply = jnp.matmul) -> jax.Array:
    """Apply a 3×3×3 ``nnx.Conv`` of stride 2 by one matrix product.

    Args:
        values: (n, z, y, x, channels), sides even.
        layer: the convolution, with a bias and padding ``"SAME"``.
        multiply: computes the product.

    Returns:
        (n, z / 2, y / 2, x / 2, output channels), equal to ``layer(values)`` up to rounding.
    """
    for axis in (3, 2, 1):  # output i sees inputs 2i, 2i + 1 and 2i + 2; inputs beyond the end are zero
        pairs = values.reshape(*values.shape[:axis], -1, 2, *values.shape[axis + 1 :])
        first, second = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        third = _shifted(first, axis, 1)
        values = jnp.concatenate([first, second, third], axis=-1)
    kernel, bias = _kernel_and_bias(layer)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    rows = multiply(values.reshape(-1, kernel.shape[0]), kernel) + bias.reshape(1, -1)
    return rows.reshape(*values.shape[:-1], -1)


def convolve_doubling(
    values: jax.Array, layer: nnx.ConvTranspose, multiply: Multiply = jnp.matmul
) -> jax.Array:
    """Apply a 3×3×3 ``nnx.ConvTranspose`` of stride 2 by one matrix product.

    Args:
        values: (n, z, y, x, channels).
        layer: the transposed convolution, with a bias and padding ``"SAME"``.
        multiply: computes the product.

    Returns:
        (n, 2z, 2y, 2x, output channels), equal to ``layer(values)`` up to rounding.
    """
    kernel, bias = _kernel_and_bias(layer)
    channels, out = kernel.shape[-2:]
    rows = multiply(values.reshape(-1, channels), kernel.transpose(3, 0, 1, 2, 4).reshape(channels, -1))
    values = rows.reshape(*values.shape[:-1], -1)
    for axis in (1, 2, 3):  # input i adds to outputs 2i, 2i + 1 and 2i + 2; those beyond the end are dropped
        taps = values.reshape(*values.shape[:-1], 3, -1)
        first, second, third = (lax.index_in_dim(taps, i, 4, keepdims=False) for i in range(3))
        values = jnp.stack([third + _shifted(first, axis, -1), second], axis=axis + 1)
        values = values.reshape(*values.shape[:axis], -1, *values.shape[axis + 2 :])
    return values + bias.reshape(1, 1, 1, 1, out)


def _shifted(values: jax.Array, axis: int, by: int) -> jax.Array:
    """Shift ``values`` along ``axis``: element i of the result is element i + ``by``, zero beyond the end.

    ``by`` is 1 or -1.
    """
    widths = [(0, 0, 0)] * values.ndim
    widths[axis] = (-by, by, 0)
    return lax.pad(values, jnp.zeros((), values.dtype), widths)


def _kernel_and_bias(layer: nnx.Conv | nnx.ConvTranspose) -> tuple[jax.Array, jax.Array]:
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]
