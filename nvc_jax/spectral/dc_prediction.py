"""Prediction of the blocks' DC coefficients from their neighbours."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy.delta_prediction import accumulate, difference

DC_PREDICTORS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2))
"""Axes along which block means are differenced; the encoder chooses."""


def predict_dc(means: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Differences of block means (z, y, x) by the cheapest predictor, and its index."""
    stacked = jnp.stack([difference(means, axes) for axes in DC_PREDICTORS])
    bits = jnp.sum(jnp.log2(1 + jnp.abs(stacked).astype(jnp.float32)), axis=(1, 2, 3))
    predictor = jnp.argmin(bits).astype(jnp.int32)
    return stacked[predictor], predictor


def accumulate_dc(differences: jax.Array, predictor: jax.Array) -> jax.Array:
    """Block means from their differences: the inverse of ``predict_dc``."""
    inverses = [functools.partial(accumulate, axes=axes) for axes in DC_PREDICTORS]
    return lax.switch(predictor, inverses, differences)
