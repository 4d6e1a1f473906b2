"""Costs of DC, the means of segments along all three axes, with all lengths of segments.

DC is coded as differences, along the axes along which they are cheapest (see ``dc_prediction``). With short
segments there is much of it, and in smooth volumes it takes most of the bits. It does not depend on the
filters, which keep means nearly as they are, so the sums of blocks tell it.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_dc_costs
from nvc_jax.spectral.line_costs import estimate_cost
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.segments import SEGMENT_LENGTHS, divide_axis


def sum_blocks(volume: jax.Array, valid_shape: jax.Array) -> jax.Array:
    """Sum the voxels of each block that lie in the volume: float32 (z, y, x) of the grid of blocks.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
    """
    is_inside = jnp.ones(volume.shape, bool)
    for axis in range(3):
        is_inside &= lax.broadcasted_iota(jnp.int32, volume.shape, axis) < valid_shape[axis]
    z, y, x = grid_shape(check_shape(volume.shape), BLOCK_SIZE)

    def at_once(inside: jax.Array) -> jax.Array:
        cut = inside.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE)
        return jnp.sum(cut, axis=(1, 3, 5))

    def by_rows(inside: jax.Array) -> jax.Array:
        of_rows = jnp.sum(inside.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, -1), axis=(1, 3))
        return jnp.sum(of_rows.reshape(z, y, x, BLOCK_SIZE), axis=3)

    inside = jnp.where(is_inside, volume, 0)
    forms = Forms(at_once, at_once, at_once, by_rows)
    return choose_form(forms, jax.ShapeDtypeStruct((z, y, x), inside.dtype), inside)


def costs_of_dc(
    sums: jax.Array, step: jax.Array, valid_shape: jax.Array, lengths: Sequence[int]
) -> jax.Array:
    """Estimate the cost of DC in bits and error, by the predictor that is cheapest, with all lengths at once.

    Args:
        sums: float32 (z, y, x), from ``sum_blocks``.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        lengths: L indices of SEGMENT_LENGTHS; static.

    Returns:
        float32 (L, L, L), by the lengths along z, y, x.
    """
    grid = check_shape(sums.shape)
    predictors = [_predictors(n, valid_shape[axis], lengths) for axis, n in enumerate(grid)]
    masks = [_mark_lengths(n, lengths) for n in grid]
    of_z = np.kron(np.eye(2, dtype=bool), masks[0])
    reference, kernel = (partial(form, masks=of_z) for form in (sum_along_z, group_dc_costs.sum_along_z))
    costs = on_cpu(reference, reference, sums, predictors, step, gpu=kernel)
    costs = costs.reshape(2, -1, *costs.shape[1:])
    for axis in (1, 2):
        costs = _sum_lengths(costs, 2 * axis, masks[axis])
    return jnp.min(costs, axis=(0, 2, 4))


def sum_along_z(
    sums: jax.Array, predictors: list[jax.Array], step: jax.Array, *, masks: np.ndarray
) -> jax.Array:
    """Sum up the estimated costs of differences along z.

    Args:
        sums: float32 (z, y, x), of blocks.
        predictors: float32 (rows, side), the matrices to differences along z, y and x.
        step: float32, of one quantiser, in the volume's units.
        masks: bool (m, rows along z), the differences that each sum contains; static.

    Returns:
        float32 (m, rows along y, rows along x).
    """
    z, y, x = predictors
    product = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    # The last axis first, and its result in front: no product needs a transposition.
    differences = product("iz,jkz->ijk", z, product("jy,kzy->jkz", y, product("kx,zyx->kzy", x, sums)))
    costs = estimate_cost(differences, step)
    return jnp.sum(jnp.where(masks[:, :, None, None], costs[None], 0), axis=1)


def _sum_lengths(costs: jax.Array, axis: int, is_of_length: np.ndarray) -> jax.Array:
    """Sum costs along an axis, which becomes two: DC and differences, and lengths."""
    n_lengths, n_rows = is_of_length.shape
    before, after = costs.shape[:axis], costs.shape[axis + 1 :]
    cut = costs.reshape(*before, 2, 1, n_rows, *after)
    mask = is_of_length.reshape(n_lengths, n_rows, *(1 for _ in after))
    return jnp.sum(jnp.where(mask, cut, 0), axis=axis + 2)


def _list_segments(n: int, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """List the segments that an axis of n blocks may have with each length.

    Returns:
        int32 (rows,), indices of ``lengths``, and int32 (rows,), the segments' first blocks.
    """
    blocks = [np.arange(0, n, SEGMENT_LENGTHS[index] // BLOCK_SIZE, dtype=np.int32) for index in lengths]
    places = np.repeat(np.arange(len(blocks), dtype=np.int32), [len(first) for first in blocks])
    return places, np.concatenate(blocks)


def _mark_lengths(n: int, lengths: Sequence[int]) -> np.ndarray:
    """Mark the segments of each length: bool (L, rows), of ``_list_segments``."""
    return np.arange(len(lengths))[:, None] == _list_segments(n, lengths)[0]


def _predictors(n: int, valid: jax.Array, lengths: Sequence[int]) -> jax.Array:
    """Compute the matrix from sums of the n blocks of an axis to DC, and to its differences.

    Returns:
        float32 (2 · rows, n), DC of all ``_list_segments``, and then the differences; rows of segments that
        the axis does not have are 0.
    """
    place, first = _list_segments(n, lengths)
    segments = jax.vmap(partial(divide_axis, n * BLOCK_SIZE, valid))(jnp.array(lengths, jnp.int32))
    start, n_voxels = segments.start[:, ::BLOCK_SIZE] // BLOCK_SIZE, segments.length[:, ::BLOCK_SIZE]
    exists = (start[place, first] == first) & (first * BLOCK_SIZE < valid)
    share = jnp.where(exists, 1 / jnp.sqrt(n_voxels[place, first].astype(jnp.float32)), 0)
    dc = jnp.where(start[place] == first[:, None], share[:, None], 0)
    before = jnp.where((exists & (first > 0))[:, None], jnp.pad(dc[:-1], ((1, 0), (0, 0))), 0)
    return jnp.concatenate([dc, dc - before])
