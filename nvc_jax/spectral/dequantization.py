"""Coefficients of blocks from the integers of a stream."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.entropy_model import EntropyModel, reconstruct_coefficients


def dequantize(model: EntropyModel, symbols: BlockSymbols, first: jax.Array, step: jax.Array) -> jax.Array:
    """Reconstruct coefficients, float32 (n, 512).

    Args:
        model: entropy model of the profile.
        symbols: of the n blocks.
        first: int32 (n,), first coefficients of the blocks in steps.
        step: float32, of the quantiser, in the coefficients' units.
    """
    return on_cpu(_by_kernel, _reference, model, symbols.points, symbols.classes, first, step)


def _by_kernel(
    model: EntropyModel, points: jax.Array, classes: jax.Array, first: jax.Array, step: jax.Array
) -> jax.Array:
    """Reconstruct coefficients by the native kernel."""
    return call(
        "nvc_dequantize",
        jax.ShapeDtypeStruct(points.shape, jnp.float32),
        *(points, first, classes, model.tables, model.reconstruction_offsets, step),
        n_tables=np.int32(model.bits.shape[0]),
    )


def _reference(
    model: EntropyModel, points: jax.Array, classes: jax.Array, first: jax.Array, step: jax.Array
) -> jax.Array:
    """Reconstruct coefficients in ``jax.numpy``: the specification of the kernel."""
    points = points.at[:, 0].set(2 * first)  # in half steps
    return reconstruct_coefficients(model, points, classes) * step
