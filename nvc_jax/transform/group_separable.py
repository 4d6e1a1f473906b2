"""Kernels of the separable transform for GPUs; ``separable`` has their specification.

One kernel multiplies along y and x, a plane at a time, and one along z, so that the volume goes through the
memory twice instead of three times. What else is to be done with each value is done where it is loaded and
stored: coefficients come from blocks and go there, and values are scaled to their range and back. Results
differ from the specification's by roundings.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

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
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

LARGEST_TILE, PART = 128, 16
"""Largest side of a tile, and entries that are multiplied at a time."""
_LARGEST_COLUMN_TILE = 64
"""Largest number of columns along z of a tile."""
_WARPS = 8

Load = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]
"""Reads a tile of a plane, float32 (n, m), from references: by z, and by y, int32 (n,), and x, int32 (m,). It
is 0 beyond the sides."""


def forward(
    volume: jax.Array,
    limits: tuple[jax.Array, jax.Array] | None,
    matrices: list[jax.Array],
    *,
    interpret: bool = False,
) -> jax.Array:
    """Compute coefficients of a volume: scale it, repeat its last voxels up to the sides, and transform it.

    Args:
        volume: (z, y, x), a device dtype.
        limits: float32, values that become −½ and ½; None for a volume that is scaled, float32.
        matrices: float32 (side, side) for each axis, from voxels to coefficients.
        interpret: run the kernels by ``jax.numpy``.

    Returns:
        float32 (blocks, 512), whose memory has blocks last: neighbours along x are next to each other.
    """
    z, y, x = (len(matrix) for matrix in matrices)
    shape = jax.ShapeDtypeStruct((z, y * x), jnp.float32)
    columns = run_tiles(
        partial(_multiply_columns, partial(_load_centered, x), _store_columns, y * x),
        _column_tiles(z, y * x),
        shape,
        *((volume, None if limits is None else jnp.stack(limits)), matrices[0], None),
        n_warps=_WARPS,
        interpret=interpret,
    )
    result = jax.ShapeDtypeStruct((N_COEFFICIENTS, z * y * x // N_COEFFICIENTS), jnp.float32)
    blocks = run_tiles(
        partial(_multiply_plane, _load_plane, partial(_store_blocks, (z, y, x)), _by_position),
        _plane_tiles((z, y, x)),
        result,
        *(columns.reshape(z, y, x), matrices[1], matrices[2]),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return jnp.transpose(blocks)


def inverse(
    load: Load,
    source: Any,
    matrices: list[jax.Array],
    limits: tuple[jax.Array, jax.Array],
    shape: Shape3,
    dtype: str,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Compute a volume from coefficients, and scale it to its range.

    Args:
        load: reads coefficients.
        source: tree of arrays, from which it reads them.
        matrices: float32 (side, side) for each axis, from coefficients to voxels.
        limits: float32, values that −½ and ½ become.
        shape: of the volume: at most the sides.
        dtype: of the volume, a device dtype.
        interpret: run the kernels by ``jax.numpy``.
    """
    z, y, x = sides = tuple(len(matrix) for matrix in matrices)
    planes = run_tiles(
        partial(_multiply_plane, load, _store_plane, _as_they_are),
        _plane_tiles(sides),
        jax.ShapeDtypeStruct(sides, jnp.float32),
        *(source, matrices[1], matrices[2]),
        n_warps=_WARPS,
        interpret=interpret,
    )
    # Triton's language cannot round to the nearest integer, which is left to XLA.
    is_float = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    result = jax.ShapeDtypeStruct(shape, jnp.dtype(dtype) if is_float else jnp.float32)
    volume = run_tiles(
        partial(_multiply_columns, _load_columns, partial(_store_voxels, x, is_float), y * x),
        _column_tiles(z, y * x),
        result,
        *(planes.reshape(z, y * x), matrices[0], jnp.stack(limits)),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return volume if is_float else denormalize(volume, *limits, dtype)


def _plane_tiles(sides: Shape3 | tuple[int, ...]) -> tuple[int, ...]:
    """Get the number of tiles along each axis into which ``_multiply_plane`` divides a volume."""
    z, *others = sides
    return (z, *(-(-side // tile_side(side, LARGEST_TILE)) for side in others))


def _column_tiles(side: int, n_columns: int) -> tuple[int, int]:
    """Get the number of tiles along both axes into which ``_multiply_columns`` divides columns."""
    length, width = tile_side(side, LARGEST_TILE), tile_side(n_columns, _LARGEST_COLUMN_TILE)
    return -(-n_columns // width), -(-side // length)


def _multiply_plane(
    load: Load,
    store: Callable[..., None],
    order: Callable[[jax.Array, int], jax.Array],
    source: Any,
    of_y: Any,
    of_x: Any,
    result: Any,
) -> None:
    """Multiply a tile of a plane along x and y, its result in some order of rows and of columns."""
    sides = (of_y.shape[0], of_x.shape[0])
    height, width = (tile_side(side, LARGEST_TILE) for side in sides)
    z, tile_y, tile_x = this_tile(3)
    rows, columns = (
        order(tile_indices(tile, length), side)
        for tile, length, side in zip((tile_y, tile_x), (height, width), sides, strict=True)
    )

    def add_rows(part: jax.Array, total: jax.Array) -> jax.Array:
        y = tile_indices(part, PART)

        def add_columns(part: jax.Array, products: jax.Array) -> jax.Array:
            x = tile_indices(part, PART)
            of_columns = load_tile(of_x, columns, x)
            return products + multiply_tiles(load(source, z, y, x), of_columns, transposes_right=True)

        products = lax.fori_loop(0, -(-sides[1] // PART), add_columns, jnp.zeros((PART, width), jnp.float32))
        return total + multiply_tiles(load_tile(of_y, rows, y), products)

    total = lax.fori_loop(0, -(-sides[0] // PART), add_rows, jnp.zeros((height, width), jnp.float32))
    store(result, z, rows, columns, total)


def _as_they_are(index: jax.Array, _: int) -> jax.Array:
    return index


def _by_position(index: jax.Array, side: int) -> jax.Array:
    """Order coefficients of an axis by their positions in blocks: blocks are next to each other in memory.

    What lies beyond the axis stays there.
    """
    n_blocks = side // BLOCK_SIZE
    return jnp.where(index < side, index % n_blocks * BLOCK_SIZE + index // n_blocks, index)


def locate_coefficients(
    sides: Shape3, z: jax.Array, y: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the coefficients of a tile of a plane in their blocks.

    Args:
        sides: of the volume, multiples of 8; static.
        z: int32.
        y: int32 (n,).
        x: int32 (m,).

    Returns:
        The block, the coefficient, and whether it exists: (n, m).
    """
    y, x = y[:, None], x[None]
    block = (z // BLOCK_SIZE * (sides[1] // BLOCK_SIZE) + y // BLOCK_SIZE) * (sides[2] // BLOCK_SIZE)
    coefficient = (z % BLOCK_SIZE * BLOCK_SIZE + y % BLOCK_SIZE) * BLOCK_SIZE + x % BLOCK_SIZE
    return block + x // BLOCK_SIZE, coefficient, (y < sides[1]) & (x < sides[2])


def _load_plane(planes: Any, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    return load_tile(planes, y, x, z)


def _store_plane(planes: Any, z: jax.Array, y: jax.Array, x: jax.Array, values: jax.Array) -> None:
    index = tuple(jnp.broadcast_to(number, values.shape) for number in (z, y[:, None], x[None]))
    is_inside = (index[1] < planes.shape[1]) & (index[2] < planes.shape[2])
    store_where(planes, index, values, is_inside)


def _store_blocks(
    sides: Shape3, blocks: Any, z: jax.Array, y: jax.Array, x: jax.Array, values: jax.Array
) -> None:
    block, coefficient, exists = locate_coefficients(sides, z, y, x)
    store_where(blocks, (coefficient, block), values, exists)


def _multiply_columns(
    load: Callable[[Any, jax.Array, jax.Array], jax.Array],
    store: Callable[..., None],
    n_columns: int,
    source: Any,
    of_z: Any,
    limits: Any,
    result: Any,
) -> None:
    """Multiply a tile of columns along z."""
    side = of_z.shape[0]
    height, width = tile_side(side, LARGEST_TILE), tile_side(n_columns, _LARGEST_COLUMN_TILE)
    tile_x, tile_z = this_tile(2)
    rows, columns = tile_indices(tile_z, height), tile_indices(tile_x, width)

    def add(part: jax.Array, total: jax.Array) -> jax.Array:
        z = tile_indices(part, PART)
        return total + multiply_tiles(load_tile(of_z, rows, z), load(source, z, columns))

    total = lax.fori_loop(0, -(-side // PART), add, jnp.zeros((height, width), jnp.float32))
    store(result, limits, rows, columns, total)


def _load_columns(columns: Any, z: jax.Array, column: jax.Array) -> jax.Array:
    return load_tile(columns, z, column)


def _load_centered(width: int, source: Any, z: jax.Array, column: jax.Array) -> jax.Array:
    """Load voxels, scaled to [−½, ½]; those beyond the volume are the nearest ones in it.

    ``column`` counts the columns of an array that is ``width`` voxels wide.
    """
    volume, limits = source
    last_z, last_y, last_x = (side - 1 for side in volume.shape)
    y, x = jnp.minimum(column // width, last_y), jnp.minimum(column % width, last_x)
    shape = (len(z), len(column))
    index = (jnp.minimum(z, last_z)[:, None], y[None], x[None])
    index = tuple(jnp.broadcast_to(number, shape) for number in index)
    voxels = load_where(volume, index, jnp.ones(shape, bool))
    return voxels if limits is None else normalize(voxels, limits[0], limits[1]) - 0.5


def _store_columns(columns: Any, _: None, z: jax.Array, column: jax.Array, values: jax.Array) -> None:
    index = (jnp.broadcast_to(z[:, None], values.shape), jnp.broadcast_to(column[None], values.shape))
    store_where(columns, index, values, (index[0] < columns.shape[0]) & (index[1] < columns.shape[1]))


def _store_voxels(
    width: int, is_float: bool, volume: Any, limits: Any, z: jax.Array, column: jax.Array, values: jax.Array
) -> None:
    """Store voxels in their range, if that needs no rounding; ``column`` as in ``_load_centered``."""
    values = values + 0.5
    values = denormalize(values, limits[0], limits[1], volume.dtype) if is_float else values
    index = (z[:, None], (column // width)[None], (column % width)[None])
    index = tuple(jnp.broadcast_to(number, values.shape) for number in index)
    is_inside = jnp.ones(values.shape, bool)
    for number, side in zip(index, volume.shape, strict=True):
        is_inside &= number < side
    store_where(volume, index, values, is_inside)
