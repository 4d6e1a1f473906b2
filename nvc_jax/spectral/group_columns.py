"""Kernel of GPUs that transforms columns along two axes; ``shape_lines`` has its specification.

A program takes a part of one column, which stays in registers between both products. It finds the column in
those of all axes, which XLA would copy.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import (
    load_tile,
    load_where,
    multiply_tiles,
    run_tiles,
    store_where,
    this_tile,
    tile_indices,
)
from nvc_jax.spectral.shape_columns import COLUMN_SIDE

_PART = 16
"""Voxels along its axis of the part of a column that a program takes."""
_WARPS = 4


def transform_columns(
    voxels: jax.Array, axis: jax.Array, first: jax.Array, second: jax.Array, *, interpret: bool = False
) -> jax.Array:
    """Transform columns of one axis along the other ones.

    Args:
        voxels: float32 (axes, n, side, a, b), columns of some axes, a and b at most COLUMN_SIDE.
        axis: int32, index of the axis among these.
        first: float32 (n, a, a), matrices of the columns along the axis of a.
        second: float32 (n, b, b), matrices along that of b.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (n · a · b, side), a line for each coefficient.
    """
    _, n, side, a, b = voxels.shape
    lines: jax.Array = run_tiles(
        partial(_transform_part, (a, b)),
        (-(-side // _PART), n),
        jax.ShapeDtypeStruct((n * a * b, side), jnp.float32),
        *(voxels, jnp.reshape(axis, 1), first, second),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return lines


def _transform_part(
    sides: tuple[int, int], voxels: Any, axis: Any, first: Any, second: Any, lines: Any
) -> None:
    """Transform a part of a column; both other axes count as COLUMN_SIDE long, with 0 behind ``sides``."""
    part, column = this_tile(2)
    own = tile_indices(0, COLUMN_SIDE)
    # A row of voxels has one place along the axis of the column, and one along the first of the others.
    row = tile_indices(0, _PART * COLUMN_SIDE)
    shape = (len(row), COLUMN_SIDE)
    along, y = part * _PART + row // COLUMN_SIDE, row % COLUMN_SIDE
    places = (axis[0], column, along[:, None], y[:, None], own[None])
    index = [jnp.broadcast_to(place, shape) for place in places]
    products = multiply_tiles(
        load_where(voxels, index, jnp.ones(shape, bool)),
        load_tile(second, own, own, column),
        transposes_right=True,
    )
    # Voxels along the axis come last: they are next to each other in memory.
    products = jnp.transpose(products.reshape(_PART, COLUMN_SIDE, COLUMN_SIDE), (1, 2, 0))
    products = multiply_tiles(
        load_tile(first, own, own, column), products.reshape(COLUMN_SIDE, COLUMN_SIDE * _PART)
    )
    place = tile_indices(0, COLUMN_SIDE * _PART)
    of_second, along = place // _PART, part * _PART + place % _PART
    line = (column * sides[0] + own[:, None]) * sides[1] + of_second[None]
    exists = (own < sides[0])[:, None] & ((of_second < sides[1]) & (along < lines.shape[1]))[None]
    index = [line, jnp.broadcast_to(along[None], line.shape)]
    store_where(lines, index, products, exists)
