"""Weights of errors in coefficients."""

import jax
import jax.numpy as jnp

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import partial_blocks
from nvc_jax.transform.block_dct import N_COEFFICIENTS
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.boundary_emphasis import boundary_weights


def error_weights(layout: BlockLayout, grid: Shape3, boundaries: jax.Array) -> jax.Array:
    """What latents are scaled by so that errors weigh what they should, (n, 512): not their means."""
    is_mean = jnp.arange(N_COEFFICIENTS)[None] == 0
    scales = boundary_weights(grid, boundaries) * partial_blocks.error_scale(layout)[:, None]
    return jnp.where(is_mean, jnp.float32(1), scales)
