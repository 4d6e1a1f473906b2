"""Costs of lines of voxels with the transform of an axis, estimated before quantisation."""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP
from nvc_jax.transform.block_layout import BLOCK_SIZE

BITS_OF_CODED, BITS_PER_OCTAVE = 3, 2
"""Estimated bits of a coded coefficient: 3, and 2 for each doubling of 1 + magnitude in steps."""


def estimate_cost(coefficients: jax.Array, step: jax.Array) -> jax.Array:
    """Estimate the cost of each coefficient in bits and error, float32, whatever its class.

    A coefficient is either dropped, and its square is the error, or coded.

    Args:
        coefficients: float32, any shape.
        step: float32, of one quantiser, in the coefficients' units.
    """
    magnitude = jnp.abs(coefficients) / step
    coded = BITS_OF_CODED + BITS_PER_OCTAVE * _rough_log2(1 + magnitude)
    return jnp.minimum(BITS_PER_SQUARED_STEP * magnitude**2, coded)


def _rough_log2(numbers: jax.Array) -> jax.Array:
    """Compute log2 of positive float32 numbers, linear between powers of two: at most 0.09 too small."""
    bits = lax.bitcast_convert_type(numbers, jnp.int32)
    return (bits - (127 << 23)).astype(jnp.float32) * 2.0**-23


def line_costs(
    lines: jax.Array, analysis: jax.Array, is_dc: jax.Array, step: jax.Array, are_means: jax.Array
) -> jax.Array:
    """Estimate the cost of each line with a transform.

    Args:
        lines: float32 (n, side).
        analysis: float32 (side, side), matrix of the transform.
        is_dc: bool (side,), from ``mark_dc``.
        step: float32, of one quantiser, in the lines' units.
        are_means: bool (n,), lines of means along the other axes. Their frequencies 0 are DC, which does not
            count: see ``dc_costs``.

    Returns:
        float32 (n,), sums of ``estimate_cost`` over the coefficients of a line.
    """
    coefficients = jnp.einsum("ij,nj->ni", analysis, lines, precision=lax.Precision.HIGHEST)
    is_counted = ~(is_dc[None] & are_means[:, None])
    return jnp.sum(jnp.where(is_counted, estimate_cost(coefficients, step), 0), axis=1)


def mark_dc(is_dc: jax.Array) -> jax.Array:
    """Mark the coefficients of an axis that are DC, bool (side,), by ``is_dc`` of ``AxisTransform``."""
    is_first = jnp.arange(len(is_dc) * BLOCK_SIZE, dtype=jnp.int32) % BLOCK_SIZE == 0
    return jnp.repeat(is_dc, BLOCK_SIZE) & is_first
