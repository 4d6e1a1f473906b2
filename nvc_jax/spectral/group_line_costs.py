"""Kernel of the costs of lines for GPUs; ``line_costs`` has its specification.

A program takes some lines and one transform. Coefficients stay in registers: XLA writes all of them to memory
and reads them again.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import (
    load_tile,
    load_where,
    multiply_tiles,
    run_tiles,
    store_where,
    this_tile,
    tile_indices,
)
from nvc_jax.spectral.line_costs import estimate_cost

TILE_LINES, TILE_COEFFICIENTS, TILE_VOXELS = 64, 64, 32
"""Lines of one program, coefficients of each that are summed up at a time, and voxels that are multiplied."""
_WARPS = 4


def costs_of_transforms(
    lines: jax.Array,
    are_means: jax.Array,
    analysis: jax.Array,
    is_dc: jax.Array,
    axis: jax.Array,
    first_filter: jax.Array,
    step: jax.Array,
    *,
    n_transforms: int,
    along_lengths: bool,
    interpret: bool = False,
) -> jax.Array:
    """Estimate the costs of lines with some transforms of a table.

    Args:
        lines: float32 (n, side).
        are_means: bool (n,), lines of means along the other axes.
        analysis: float32 (axes, lengths, filters, side, side), matrices of transforms.
        is_dc: bool (axes, lengths, side), coefficients that are DC of lines of means.
        axis: int32, of the transforms.
        first_filter: int32, filter of the first transform; its length is the first one.
        step: float32, of one quantiser, in the lines' units.
        n_transforms: number of transforms; static.
        along_lengths: whether one length follows another, or one filter another; static.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (n_transforms, n).
    """
    n_lines = len(lines)
    scalars = (jnp.reshape(number, 1) for number in (axis, first_filter, step))
    kernel = partial(_sum_costs, along_lengths=along_lengths)
    grid = (n_transforms, -(-n_lines // TILE_LINES))
    result = jax.ShapeDtypeStruct((n_transforms, n_lines), jnp.float32)
    arguments = (lines, are_means, analysis, is_dc, *scalars)
    costs: jax.Array = run_tiles(kernel, grid, result, *arguments, n_warps=_WARPS, interpret=interpret)
    return costs


def _sum_costs(
    lines: Any,
    are_means: Any,
    analysis: Any,
    is_dc: Any,
    axis: Any,
    first_filter: Any,
    step: Any,
    costs: Any,
    *,
    along_lengths: bool,
) -> None:
    """Sum up the costs of the lines of one program."""
    side = lines.shape[1]
    (number, tile), first = this_tile(2), first_filter[0]
    place = (axis[0], number, first) if along_lengths else (axis[0], jnp.int32(0), first + number)
    line = tile_indices(tile, TILE_LINES)
    exists = line < costs.shape[1]
    is_mean = load_where(are_means, (line,), exists)

    def add_coefficients(part_of_line: jax.Array, total: jax.Array) -> jax.Array:
        coefficient = tile_indices(part_of_line, TILE_COEFFICIENTS)

        def multiply(part: jax.Array, products: jax.Array) -> jax.Array:
            voxel = tile_indices(part, TILE_VOXELS)
            of_lines = load_tile(lines, line, voxel)
            of_transform = load_tile(analysis, coefficient, voxel, *place)
            return products + multiply_tiles(of_lines, of_transform, transposes_right=True)

        start = jnp.zeros((TILE_LINES, TILE_COEFFICIENTS), jnp.float32)
        products = lax.fori_loop(0, -(-side // TILE_VOXELS), multiply, start)
        in_axis = coefficient < side
        dc = load_where(is_dc, (*(jnp.full_like(coefficient, n) for n in place[:2]), coefficient), in_axis)
        is_counted = in_axis[None] & ~(dc[None] & is_mean[:, None])
        return total + jnp.sum(jnp.where(is_counted, estimate_cost(products, step[0]), 0), axis=1)

    start = jnp.zeros(TILE_LINES, jnp.float32)
    total = lax.fori_loop(0, -(-side // TILE_COEFFICIENTS), add_coefficients, start)
    store_where(costs, (jnp.full_like(line, number), line), total, exists)
