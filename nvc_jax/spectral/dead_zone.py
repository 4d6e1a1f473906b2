"""Rounding with a dead zone: a small coefficient becomes 0 if its integer would not be worth its bits."""

import jax
import jax.numpy as jnp

from nvc_jax.entropy import tokens


def round_with_dead_zone(values: jax.Array, first: jax.Array, further: jax.Array) -> jax.Array:
    """Round towards zero with a dead zone.

    Args:
        values: float32, in steps.
        first: magnitude from which a value becomes at least 1; smaller ones become 0.
        further: remainder from which a larger magnitude is rounded up.

    Returns:
        int32, of the same shape.
    """
    magnitude = jnp.abs(values)
    rounded = jnp.maximum(jnp.floor(magnitude + 1 - further), 1)
    rounded = jnp.where(magnitude < first, 0, jnp.minimum(rounded, tokens.MAX_MAGNITUDE))
    return (jnp.sign(values) * rounded).astype(jnp.int32)
