"""Fixed point: coefficients as integers, so that decisions about them are the same on every device."""

import jax
import jax.numpy as jnp

MAGNITUDE_BITS = 7
"""Fraction bits of magnitudes: they count 1/128 step."""
_MAX_MAGNITUDE = 1 << 30
"""Largest magnitude: the largest integer that can be coded."""


def to_fixed(values: jax.Array) -> jax.Array:
    """Convert coefficients in steps to integers in 1/128 step, int32 with their signs."""
    scaled = jnp.abs(values) * (1 << MAGNITUDE_BITS)
    magnitude = jnp.where(scaled < _MAX_MAGNITUDE, jnp.round(scaled), _MAX_MAGNITUDE).astype(jnp.int32)
    return jnp.where(values < 0, -magnitude, magnitude)


def to_fixed_by_floor(values: jax.Array) -> jax.Array:
    """Convert coefficients as ``to_fixed`` does, within kernels of GPUs, whose language cannot round."""
    scaled = jnp.abs(values) * (1 << MAGNITUDE_BITS)
    below = jnp.floor(scaled)
    remainder, whole = scaled - below, jnp.minimum(below, float(_MAX_MAGNITUDE)).astype(jnp.int32)
    # A half goes to the even neighbour.
    is_raised = (remainder > 0.5) | ((remainder == 0.5) & (whole & 1 == 1))
    magnitude = jnp.where(scaled < _MAX_MAGNITUDE, whole + is_raised.astype(jnp.int32), _MAX_MAGNITUDE)
    return jnp.where(values < 0, -magnitude, magnitude)
