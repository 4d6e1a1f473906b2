"""Kernel of GPUs that transforms columns along all axes; ``shape_lines`` has its specification.

A program reads a column from the volume, and takes some of the coefficients along the axis that it spans.
Between the products along the three axes the values stay in registers.
"""

import dataclasses
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
from nvc_jax.spectral.column_places import COLUMN_SIDE, PlacedColumns, count_valid, scale_voxels
from nvc_jax.spectral.line_costs import estimate_cost

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


class _Others(NamedTuple):
    """Transforms along the other axes, in memory.

    Attributes:
        tables: two, by the number of voxels in the volume, from 1 on: matrices, float32 (side, lengths,
            filters, side, side), and DC, bool (side, lengths, side).
        choice: int32 (2, 3), lengths and filters, for each axis of the volume.
    """

    tables: Any
    choice: Any


def transform_columns(
    columns: PlacedColumns,
    valid_shapes: jax.Array,
    tables: Any,
    choice: jax.Array,
    axis: jax.Array,
    table: Any,
    place: Any,
    step: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Transform columns; arguments and results are those of ``shape_lines.transform_reference``.

    The axis is that of the columns, static, and valid shapes are those that their places tell.
    """
    n, side, a, b = columns.shape
    limits = jax.tree.map(lambda limit: jnp.reshape(limit, 1), columns.limits)
    n_parts, n_lines = -(-side // _COEFFICIENTS), n * a * b
    lines, are_means, costs = run_tiles(
        partial(_transform_column, (a, b)),
        (n_parts, n),
        [
            jax.ShapeDtypeStruct((n_lines, side), jnp.float32),
            jax.ShapeDtypeStruct((n_lines,), bool),
            jax.ShapeDtypeStruct((n_parts, n_lines), jnp.float32),
        ],
        dataclasses.replace(columns, limits=limits),
        _Others([tuple(of_side) for of_side in tables], choice),
        _Transform(*table, *(jnp.reshape(number, 1) for number in (*place, step))),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return lines, are_means, jnp.sum(costs, axis=0)


def _transform_column(
    sides: tuple[int, int],
    columns: Any,
    others: _Others,
    transform: _Transform,
    lines: Any,
    are_means: Any,
    costs: Any,
) -> None:
    """Transform a column; both other axes count as COLUMN_SIDE long, with 0 behind ``sides``."""
    part_of_line, column = this_tile(2)
    side, own = lines.shape[1], tile_indices(0, COLUMN_SIDE)
    coefficient = tile_indices(part_of_line, _COEFFICIENTS)
    place = (transform.axis[0], jnp.int32(0), transform.filter[0])
    of_line = [index(tile_indices(0, _LINES), COLUMN_SIDE) for index in (lax.div, lax.rem)]
    line = (column * sides[0] + of_line[0]) * sides[1] + of_line[1]
    exists = (of_line[0] < sides[0]) & (of_line[1] < sides[1])

    start = [columns.corners[columns.drawn[columns.row, column], other] for other in range(3)]
    matrices, is_mean = [], exists
    for number, (analysis, is_dc) in enumerate(others.tables):
        other = columns.axes[1 + number]
        valid = count_valid(columns.valid_shape[other], start[other], sides[number])
        of_side = (valid - 1, others.choice[0, other])
        matrices.append(load_tile(analysis, own, own, *of_side, others.choice[1, other]))
        index = [*(jnp.full_like(line, of_table) for of_table in of_side), of_line[number]]
        is_mean &= load_where(is_dc, index, exists)
    store_where(are_means, (line,), is_mean, exists & (part_of_line == 0))

    def add(part: jax.Array, products: jax.Array) -> jax.Array:
        of_lines = _transform_part(_load_part(columns, start, part), matrices)
        along = tile_indices(part, _PART)
        index = [jnp.broadcast_to(number, of_lines.shape) for number in (line[:, None], along[None])]
        is_stored = exists[:, None] & (along < side)[None] & (part_of_line == 0)
        store_where(lines, index, of_lines, is_stored)
        of_transform = load_tile(transform.analysis, coefficient, along, *place)
        return products + multiply_tiles(of_lines, of_transform, transposes_right=True)

    none = jnp.zeros((_LINES, _COEFFICIENTS), jnp.float32)
    products = lax.fori_loop(0, -(-side // _PART), add, none)
    in_axis = coefficient < side
    index = [*(jnp.full_like(coefficient, number) for number in place[:2]), coefficient]
    dc = load_where(transform.is_dc, index, in_axis)
    is_counted = in_axis[None] & ~(dc[None] & is_mean[:, None])
    total = jnp.sum(jnp.where(is_counted, estimate_cost(products, transform.step[0]), 0), axis=1)
    store_where(costs, (jnp.full_like(line, part_of_line), line), total, exists)


def _load_part(columns: Any, start: list[jax.Array], part: jax.Array) -> jax.Array:
    """Load a part of the column that starts there, scaled, in the order of columns; 0 outside of the volume.

    Returns:
        float32 (_PART, COLUMN_SIDE, COLUMN_SIDE).
    """
    # Voxels are read in the order of the volume, so that those along x are next to each other in memory.
    sides = tuple(_PART if axis == columns.axis else COLUMN_SIDE for axis in range(3))
    row, x = tile_indices(0, sides[0] * sides[1]), tile_indices(0, sides[2])
    shape = (len(row), len(x))
    begin = [first + part * _PART if axis == columns.axis else first for axis, first in enumerate(start)]
    places = (row[:, None] // sides[1], row[:, None] % sides[1], x[None])
    index = [jnp.broadcast_to(first + place, shape) for first, place in zip(begin, places, strict=True)]
    is_inside = jnp.ones(shape, bool)
    for number, side in zip(index, columns.volume.shape, strict=True):
        is_inside &= number < side
    limits = jax.tree.map(lambda limit: limit[0], columns.limits)
    voxels = scale_voxels(load_where(columns.volume, index, is_inside), limits)
    return jnp.transpose(jnp.where(is_inside, voxels, 0).reshape(sides), columns.axes)


def _transform_part(voxels: jax.Array, matrices: list[jax.Array]) -> jax.Array:
    """Transform a part of a column along the other axes: float32 (_LINES, _PART)."""
    of_first, of_second = matrices
    products = multiply_tiles(voxels.reshape(-1, COLUMN_SIDE), of_second, transposes_right=True)
    # Voxels along the axis come last: they are next to each other in memory.
    products = jnp.transpose(products.reshape(_PART, COLUMN_SIDE, COLUMN_SIDE), (1, 2, 0))
    products = multiply_tiles(of_first, products.reshape(COLUMN_SIDE, COLUMN_SIDE * _PART))
    return products.reshape(_LINES, _PART)
