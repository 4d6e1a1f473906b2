"""Weights of errors in coefficients."""

import jax
import jax.numpy as jnp

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import partial_blocks
from nvc_jax.transform.block_dct import N_LATENTS
from nvc_jax.transform.block_layout import Layout
from nvc_jax.transform.boundary_emphasis import face_weights


def error_weights(layout: Layout, grid: Shape3, faces: jax.Array) -> jax.Array:
    """What latents are scaled by so that errors weigh what they should, (n, 512): not their means."""
    is_mean = jnp.arange(N_LATENTS)[None] == 0
    scales = face_weights(grid, faces) * partial_blocks.error_scale(layout)[:, None]
    return jnp.where(is_mean, jnp.float32(1), scales)
