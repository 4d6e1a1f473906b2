"""Kernel of the costs of lines for GPUs; ``line_costs`` has its specification.

A program takes some lines and one transform. Coefficients stay in registers: XLA writes all of them to memory
and reads them again.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.group_kernels import (
    load_tile,
    load_where,
    multiply_tiles,
    run_tiles,
    store_where,
    this_tile,
    tile_indices,
    tile_side,
)
from nvc_jax.spectral.line_costs import estimate_cost

TILE_LINES, TILE_COEFFICIENTS, TILE_VOXELS = 64, 64, 32
"""Lines of one program, coefficients of each that are summed up at a time, and voxels that are multiplied."""
WARPS = 4


class Table(NamedTuple):
    """Transforms of axes, in memory.

    Attributes:
        analysis: float32 (axes, lengths, filters, side, side), matrices of transforms.
        is_dc: bool (axes, lengths, side), coefficients that are DC of lines of means.
        axis: int32 (1,), of the transforms.
        step: float32 (1,), of one quantiser, in the lines' units.
    """

    analysis: Any
    is_dc: Any
    axis: Any
    step: Any


def costs_of_transforms(
    lines: jax.Array,
    are_means: jax.Array,
    weights: jax.Array,
    table: Table,
    costs_by_filter: jax.Array | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Estimate the costs of lines with all filters and the first length, or all lengths and the best filter.

    Args:
        lines: float32 (n, side).
        are_means: bool (n,), lines of means along the other axes.
        weights: float32 (n,), of the lines.
        table: of transforms.
        costs_by_filter: what this function has returned of all filters; None to try these.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (filters or lengths, n), the costs times the weights.
    """
    n_lines, (_, n_lengths, n_filters, *_) = len(lines), table.analysis.shape
    n_transforms = n_filters if costs_by_filter is None else n_lengths
    costs: jax.Array = run_tiles(
        _sum_costs,
        (n_transforms, -(-n_lines // TILE_LINES)),
        jax.ShapeDtypeStruct((n_transforms, n_lines), jnp.float32),
        *(lines, are_means, weights, table, costs_by_filter),
        n_warps=WARPS,
        interpret=interpret,
    )
    return costs


def find_cheapest(costs: Any, more: jax.Array | float = 0.0) -> tuple[jax.Array, jax.Array]:
    """Find the transform of least cost within a kernel.

    Args:
        costs: float32 (transforms, n), of lines.
        more: float32, cost of each transform besides; of as many as ``transform_indices`` are.

    Returns:
        float32, the cost; and int32, the index of the transform.
    """
    (n_transforms, n_lines), row = costs.shape, transform_indices(costs.shape[0])

    def add(tile: jax.Array, total: jax.Array) -> jax.Array:
        return total + jnp.sum(load_tile(costs, row, tile_indices(tile, TILE_LINES)), axis=1)

    total = lax.fori_loop(0, -(-n_lines // TILE_LINES), add, jnp.zeros(len(row), jnp.float32)) + more
    total = jnp.where(row < n_transforms, total, np.float32(np.inf))
    least = jnp.min(total)
    return least, jnp.min(jnp.where(total == least, row, n_transforms - 1))


def transform_indices(n_transforms: int) -> jax.Array:
    """Get the indices of transforms within a kernel, int32, and some behind these."""
    return tile_indices(0, tile_side(n_transforms, n_transforms))


def _sum_costs(
    lines: Any, are_means: Any, weights: Any, table: Table, costs_by_filter: Any, costs: Any
) -> None:
    """Sum up the costs of the lines of one program."""
    side = lines.shape[1]
    number, tile = this_tile(2)
    if costs_by_filter is None:
        place = (table.axis[0], jnp.int32(0), number)
    else:
        place = (table.axis[0], number, find_cheapest(costs_by_filter)[1])
    line = tile_indices(tile, TILE_LINES)
    exists = line < costs.shape[1]
    is_mean = load_where(are_means, (line,), exists)

    def add_coefficients(part_of_line: jax.Array, total: jax.Array) -> jax.Array:
        coefficient = tile_indices(part_of_line, TILE_COEFFICIENTS)

        def multiply(part: jax.Array, products: jax.Array) -> jax.Array:
            voxel = tile_indices(part, TILE_VOXELS)
            of_lines = load_tile(lines, line, voxel)
            of_transform = load_tile(table.analysis, coefficient, voxel, *place)
            return products + multiply_tiles(of_lines, of_transform, transposes_right=True)

        start = jnp.zeros((TILE_LINES, TILE_COEFFICIENTS), jnp.float32)
        products = lax.fori_loop(0, -(-side // TILE_VOXELS), multiply, start)
        in_axis = coefficient < side
        index = [*(jnp.full_like(coefficient, n) for n in place[:2]), coefficient]
        is_counted = in_axis[None] & ~(load_where(table.is_dc, index, in_axis)[None] & is_mean[:, None])
        return total + jnp.sum(jnp.where(is_counted, estimate_cost(products, table.step[0]), 0), axis=1)

    start = jnp.zeros(TILE_LINES, jnp.float32)
    total = lax.fori_loop(0, -(-side // TILE_COEFFICIENTS), add_coefficients, start)
    total = total * load_where(weights, (line,), exists)
    store_where(costs, (jnp.full_like(line, number), line), total, exists)
