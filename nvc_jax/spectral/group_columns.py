"""Kernel of GPUs that transforms columns along all axes; ``shape_lines`` has its specification.

A program takes a column, and some of the coefficients along the axis that it spans. Between the products
along the three axes the values stay in registers.
"""

from functools import partial
from typing import Any, NamedTuple

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
from nvc_jax.spectral.shape_columns import COLUMN_SIDE

_PART, _COEFFICIENTS = 16, 64
"""Voxels along its axis of a part of a column, which are taken at a time, and coefficients of a program."""
_LINES = COLUMN_SIDE**2
"""Lines of a column."""
_WARPS = 8


class _Transform(NamedTuple):
    """Transform along the axis of columns, in memory.

    Attributes:
        analysis: float32 (axes, lengths, filters, side, side), matrices of transforms.
        is_dc: bool (axes, lengths, side), coefficients that are DC of lines of means.
        axis: int32 (1,), of the transform; its length is the first one.
        filter: int32 (1,), of the transform.
        step: float32 (1,), of one quantiser, in the volume's units.
    """

    analysis: Any
    is_dc: Any
    axis: Any
    filter: Any
    step: Any


def transform_columns(
    voxels: jax.Array,
    axis: jax.Array,
    first: jax.Array,
    second: jax.Array,
    are_means: jax.Array,
    analysis: jax.Array,
    is_dc: jax.Array,
    filter_index: jax.Array,
    step: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Transform columns of one axis along the other ones, and estimate the costs of the lines.

    Args:
        voxels: float32 (axes, n, side, a, b), columns of some axes, a and b at most COLUMN_SIDE.
        axis: int32, index of the axis among these, and among those of the transforms.
        first: float32 (n, a, a), matrices of the columns along the axis of a.
        second: float32 (n, b, b), matrices along that of b.
        are_means: bool (n · a · b,), lines of means along the other axes.
        analysis: float32 (axes, lengths, filters, side, side), matrices of transforms along the axis.
        is_dc: bool (axes, lengths, side), coefficients that are DC of lines of means.
        filter_index: int32, filter of the transform for costs; its length is the first one.
        step: float32, of one quantiser, in the volume's units.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (n · a · b, side), a line for each coefficient; and float32 (n · a · b,), their costs.
    """
    _, n, side, a, b = voxels.shape
    axis, filter_index, step = (jnp.reshape(number, 1) for number in (axis, filter_index, step))
    n_parts = -(-side // _COEFFICIENTS)
    lines, costs = run_tiles(
        partial(_transform_column, (a, b)),
        (n_parts, n),
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((n * a * b, side), (n_parts, n * a * b))],
        *(voxels, first, second, are_means, _Transform(analysis, is_dc, axis, filter_index, step)),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return lines, jnp.sum(costs, axis=0)


def _transform_column(
    sides: tuple[int, int],
    voxels: Any,
    first: Any,
    second: Any,
    are_means: Any,
    transform: _Transform,
    lines: Any,
    costs: Any,
) -> None:
    """Transform a column; both other axes count as COLUMN_SIDE long, with 0 behind ``sides``."""
    part_of_line, column = this_tile(2)
    side, own = lines.shape[1], tile_indices(0, COLUMN_SIDE)
    coefficient = tile_indices(part_of_line, _COEFFICIENTS)
    place = (transform.axis[0], jnp.int32(0), transform.filter[0])
    matrices = [load_tile(memory, own, own, column) for memory in (first, second)]
    of_first, of_second = (index(tile_indices(0, _LINES), COLUMN_SIDE) for index in (lax.div, lax.rem))
    line = (column * sides[0] + of_first) * sides[1] + of_second
    exists = (of_first < sides[0]) & (of_second < sides[1])

    def add(part: jax.Array, products: jax.Array) -> jax.Array:
        of_lines = _transform_part(voxels, transform.axis[0], column, part, matrices)
        along = tile_indices(part, _PART)
        index = [jnp.broadcast_to(number, of_lines.shape) for number in (line[:, None], along[None])]
        is_stored = exists[:, None] & (along < side)[None] & (part_of_line == 0)
        store_where(lines, index, of_lines, is_stored)
        of_transform = load_tile(transform.analysis, coefficient, along, *place)
        return products + multiply_tiles(of_lines, of_transform, transposes_right=True)

    start = jnp.zeros((_LINES, _COEFFICIENTS), jnp.float32)
    products = lax.fori_loop(0, -(-side // _PART), add, start)
    in_axis = coefficient < side
    index = [*(jnp.full_like(coefficient, number) for number in place[:2]), coefficient]
    dc, is_mean = load_where(transform.is_dc, index, in_axis), load_where(are_means, (line,), exists)
    is_counted = in_axis[None] & ~(dc[None] & is_mean[:, None])
    total = jnp.sum(jnp.where(is_counted, estimate_cost(products, transform.step[0]), 0), axis=1)
    store_where(costs, (jnp.full_like(line, part_of_line), line), total, exists)


def _transform_part(
    voxels: Any, axis: jax.Array, column: jax.Array, part: jax.Array, matrices: list[jax.Array]
) -> jax.Array:
    """Transform a part of a column along the other axes: float32 (_LINES, _PART)."""
    # A row of voxels has one place along the axis of the column, and one along the first of the others.
    row, own = tile_indices(0, _PART * COLUMN_SIDE), tile_indices(0, COLUMN_SIDE)
    shape = (len(row), COLUMN_SIDE)
    along, y = part * _PART + row // COLUMN_SIDE, row % COLUMN_SIDE
    places = (axis, column, along[:, None], y[:, None], own[None])
    index = [jnp.broadcast_to(place, shape) for place in places]
    of_first, of_second = matrices
    products = load_where(voxels, index, jnp.ones(shape, bool))
    products = multiply_tiles(products, of_second, transposes_right=True)
    # Voxels along the axis come last: they are next to each other in memory.
    products = jnp.transpose(products.reshape(_PART, COLUMN_SIDE, COLUMN_SIDE), (1, 2, 0))
    products = multiply_tiles(of_first, products.reshape(COLUMN_SIDE, COLUMN_SIDE * _PART))
    return products.reshape(_LINES, _PART)
