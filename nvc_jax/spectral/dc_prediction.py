"""Prediction of the blocks' DC coefficients from their neighbours, by differences along axes."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy.delta_prediction import accumulate, difference

DC_PREDICTORS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2))
"""Axes along which each predictor takes differences; a stream states the index."""


def predict_dc(dc: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take differences of DC by the predictor that is cheapest.

    Args:
        dc: int32 (z, y, x), DC of all blocks in steps.

    Returns:
        int32 (z, y, x) differences, and int32 index of ``DC_PREDICTORS``.
    """
    candidates = jnp.stack([difference(dc, axes) for axes in DC_PREDICTORS])
    bits = jnp.sum(jnp.log2(1 + jnp.abs(candidates).astype(jnp.float32)), axis=(1, 2, 3))
    predictor = jnp.argmin(bits).astype(jnp.int32)
    return candidates[predictor], predictor


def accumulate_dc(differences: jax.Array, predictor: jax.Array) -> jax.Array:
    """Compute DC from its differences: the inverse of ``predict_dc``."""
    inverses = [functools.partial(accumulate, axes=axes) for axes in DC_PREDICTORS]
    return lax.switch(predictor, inverses, differences)
