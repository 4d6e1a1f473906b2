"""Products of volumes with matrices by kernels of GPUs: along y and x at once, and along z.

What is multiplied is read by a function, and what comes out is stored by another one. So either may be made
from, or become, what the memory is to hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import (
    load_tile,
    multiply_tiles,
    run_tiles,
    this_tile,
    tile_indices,
    tile_side,
)

LARGEST_TILE = 128
"""Largest side of a tile of a plane, and largest length of a tile of columns along z."""
_ROWS, _COLUMNS = 32, 32
"""Entries of a plane, along y and along x, that are loaded at a time. A program loads what comes next before
it multiplies what is there, because loads take long, and few programs run side by side. With more entries
registers do not suffice."""
_LARGEST_COLUMN_TILE, _PART = 64, 16
"""Largest number of columns along z of a tile, and entries of them that are loaded at a time."""
_WARPS = 8

LoadPlane = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]
"""Reads a tile of a plane, float32 (n, m), from references: by z, and by y, int32 (n,), and x, int32 (m,). It
is 0 beyond the sides."""
StorePlane = Callable[[Any, jax.Array, jax.Array, jax.Array, jax.Array], None]
"""Stores a tile of a plane: to references, by z, y and x, the values; none beyond the sides."""
LoadColumns = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""Reads a tile of columns, float32 (n, m), from references: by z, int32 (n,), and column, int32 (m,)."""
StoreColumns = Callable[[Any, jax.Array, jax.Array, jax.Array], None]
"""Stores a tile of columns: to references, by z and column, the values; none beyond the sides."""
Order = Callable[[jax.Array, int], jax.Array]
"""Makes indices along an axis, int32, of those in another order, in which tiles have some length and hold the
same entries; what is beyond stays there."""


def multiply_planes(
    load: LoadPlane,
    store: StorePlane,
    source: Any,
    matrices: tuple[jax.Array, jax.Array],
    n_planes: int,
    result: Any,
    order: Order | None = None,
    *,
    interpret: bool = False,
) -> Any:
    """Multiply planes along y and along x.

    Args:
        load: reads planes.
        store: stores products.
        source: tree of arrays, from which ``load`` reads.
        matrices: float32 (side, side), of y and of x.
        n_planes: number of planes; static.
        result: shape and dtype of the array to which ``store`` stores; or a list, of several arrays.
        order: in which rows and columns of products stand in a tile; as they are by default.
        interpret: run the kernel by ``jax.numpy``.
    """
    tiles = (-(-len(matrix) // tile_side(len(matrix), LARGEST_TILE)) for matrix in matrices)
    return run_tiles(
        partial(_multiply_plane, load, store, order),
        (n_planes, *tiles),
        result,
        *(source, *matrices),
        n_warps=_WARPS,
        interpret=interpret,
    )


def _multiply_plane(
    load: LoadPlane, store: StorePlane, order: Order | None, source: Any, of_y: Any, of_x: Any, *results: Any
) -> None:
    """Multiply a tile of a plane."""
    sides = (of_y.shape[0], of_x.shape[0])
    height, width = (tile_side(side, LARGEST_TILE) for side in sides)
    z, tile_y, tile_x = this_tile(3)
    rows, columns = tile_indices(tile_y, height), tile_indices(tile_x, width)
    if order is not None:
        rows, columns = order(rows, height), order(columns, width)
    n_parts = -(-sides[1] // _COLUMNS)

    def load_part(part_y: jax.Array, part_x: jax.Array | int) -> jax.Array:
        return load(source, z, tile_indices(part_y, _ROWS), tile_indices(part_x, _COLUMNS))

    def multiply(part: jax.Array | int, values: jax.Array) -> jax.Array:
        of_columns = load_tile(of_x, columns, tile_indices(part, _COLUMNS))
        return multiply_tiles(values, of_columns, transposes_right=True)

    def add_rows(part_y: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        def add_columns(part: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            values, products = carry
            following = load_part(part_y, part + 1)
            return following, products + multiply(part, values)

        total, values = carry
        start = (values, jnp.zeros((_ROWS, width), jnp.float32))
        values, products = lax.fori_loop(0, n_parts - 1, add_columns, start)
        following = load_part(part_y + 1, 0)
        products = products + multiply(n_parts - 1, values)
        of_rows = load_tile(of_y, rows, tile_indices(part_y, _ROWS))
        return total + multiply_tiles(of_rows, products), following

    start = (jnp.zeros((height, width), jnp.float32), load_part(jnp.int32(0), 0))
    total, _ = lax.fori_loop(0, -(-sides[0] // _ROWS), add_rows, start)
    store(results[0] if len(results) == 1 else results, z, rows, columns, total)


def multiply_columns(
    load: LoadColumns,
    store: StoreColumns,
    source: Any,
    matrix: jax.Array,
    n_columns: int,
    result: jax.ShapeDtypeStruct,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Multiply columns along z.

    Args:
        load: reads columns.
        store: stores products, to ``source`` and the result: it may need what is in ``source``.
        source: tree of arrays, from which ``load`` reads.
        matrix: float32 (side, side).
        n_columns: number of columns; static.
        result: shape and dtype of the array to which ``store`` stores.
        interpret: run the kernel by ``jax.numpy``.
    """
    length = tile_side(len(matrix), LARGEST_TILE)
    width = tile_side(n_columns, _LARGEST_COLUMN_TILE)
    product: jax.Array = run_tiles(
        partial(_multiply_columns, load, store, (length, width)),
        (-(-n_columns // width), -(-len(matrix) // length)),
        result,
        *(source, matrix),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return product


def _multiply_columns(
    load: LoadColumns, store: StoreColumns, shape: tuple[int, int], source: Any, of_z: Any, result: Any
) -> None:
    """Multiply a tile of columns."""
    tile_column, tile_z = this_tile(2)
    rows, columns = tile_indices(tile_z, shape[0]), tile_indices(tile_column, shape[1])

    def load_part(part: jax.Array | int) -> jax.Array:
        return load(source, tile_indices(part, _PART), columns)

    def add(part: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        total, values = carry
        following = load_part(part + 1)
        of_rows = load_tile(of_z, rows, tile_indices(part, _PART))
        return total + multiply_tiles(of_rows, values), following

    start = (jnp.zeros(shape, jnp.float32), load_part(0))
    total, _ = lax.fori_loop(0, -(-of_z.shape[0] // _PART), add, start)
    store((source, result), rows, columns, total)
