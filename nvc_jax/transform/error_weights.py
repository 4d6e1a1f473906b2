"""Per-coefficient scale that makes squared error in coefficients equal weighted squared error in voxels."""

import jax
import jax.numpy as jnp

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import partial_blocks
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.boundary_emphasis import boundary_weights
from nvc_jax.transform.planar_blocks import N_COEFFICIENTS


def error_weights(layout: BlockLayout, grid: Shape3, boundaries: jax.Array) -> jax.Array:
    """Compute the scale of each coefficient, by the block's size and the boundaries next to it.

    The encoder multiplies coefficients by it before it quantises them, and the decoder divides by it.

    Args:
        layout: of the n blocks.
        grid: blocks along z, y, x; static.
        boundaries: int32, chunk boundaries next to which errors weigh more: see ``boundary_emphasis``.

    Returns:
        float32 (n, 512), 1 for DC.
    """
    is_dc = jnp.arange(N_COEFFICIENTS)[None] == 0
    scales = boundary_weights(grid, boundaries) * partial_blocks.error_scale(layout)[:, None]
    return jnp.where(is_dc, jnp.float32(1), scales)
