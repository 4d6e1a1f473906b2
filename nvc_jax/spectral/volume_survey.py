"""Survey of a volume: its range and the sums of its blocks, before any decision."""

import jax
import jax.numpy as jnp

from nvc_jax.core.normalization import finite_range
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral.dc_costs import sum_blocks
from nvc_jax.spectral.group_survey import survey as survey_by_kernel
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.separable import Original


def survey(volume: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Find the range of a volume, and the sums of its blocks.

    Args:
        volume: (z, y, x), a device dtype.

    Returns:
        The finite range, from ``normalization.finite_range``; and float32 (z, y, x) of the grid of blocks,
        sums of voxels scaled to [−½, ½]. They are 0 where CPUs run their kernels, which need none. GPUs take
        voxels that are not finite for the first one.
    """
    return on_cpu(_find_range, survey_reference, volume, gpu=survey_by_kernel)


def survey_reference(volume: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Survey a volume in ``jax.numpy``: the specification of the kernel."""
    original = Original(volume, *finite_range(volume))
    centered = original.padded()
    sums = sum_blocks(centered, jnp.array(volume.shape, jnp.int32))
    return (original.minimum, original.maximum), sums


def _find_range(volume: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Find the range alone."""
    padded = check_shape(tuple(side + -side % BLOCK_SIZE for side in volume.shape))
    return finite_range(volume), jnp.zeros(grid_shape(padded, BLOCK_SIZE), jnp.float32)
