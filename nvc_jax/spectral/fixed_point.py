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
