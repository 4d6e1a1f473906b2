"""Kernel of GPUs that estimates the costs of DC; ``dc_costs.sum_along_z`` has its specification.

A program takes one difference along y and some along x, and all along z. Differences and their costs stay in
registers: XLA writes all of them to memory, once more in another order, and reads them again.
"""

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
from nvc_jax.spectral.line_costs import estimate_cost

_COLUMNS, _ROWS = 64, 64
"""Differences along x of one program, and those along z that are taken at a time."""
_WARPS = 8


def sum_along_z(
    sums: jax.Array,
    predictors: list[jax.Array],
    step: jax.Array,
    *,
    masks: np.ndarray,
    interpret: bool = False,
) -> jax.Array:
    """Sum up the costs of differences along z; arguments and result are those of ``dc_costs.sum_along_z``."""
    rows = [len(matrix) for matrix in predictors]
    costs: jax.Array = run_tiles(
        _sum_columns,
        (rows[1], -(-rows[2] // _COLUMNS)),
        jax.ShapeDtypeStruct((len(masks), rows[1], rows[2]), jnp.float32),
        *(sums, *predictors, jnp.asarray(masks, jnp.float32), jnp.reshape(step, 1)),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return costs


def _sum_columns(sums: Any, of_z: Any, of_y: Any, of_x: Any, masks: Any, step: Any, costs: Any) -> None:
    """Sum up the costs of some differences; arguments are those of ``sum_along_z``, and the result."""
    row_y, tile = this_tile(2)
    n_masks, _, n_columns = costs.shape
    column, mask = tile_indices(tile, _COLUMNS), tile_indices(0, tile_side(n_masks, n_masks))
    z, x = (tile_indices(0, tile_side(side, side)) for side in (sums.shape[0], sums.shape[2]))
    shape = (len(z), len(x))

    def add_row(y: jax.Array, total: jax.Array) -> jax.Array:
        places = [jnp.broadcast_to(place, shape) for place in (z[:, None], y, x[None])]
        return total + of_y[row_y, y] * load_where(sums, places, jnp.ones(shape, bool))

    plane = lax.fori_loop(0, sums.shape[1], add_row, jnp.zeros(shape, jnp.float32))
    plane = multiply_tiles(plane, load_tile(of_x, column, x), transposes_right=True)

    def add(part: jax.Array, total: jax.Array) -> jax.Array:
        row = tile_indices(part, _ROWS)
        differences = multiply_tiles(load_tile(of_z, row, z), plane)
        return total + multiply_tiles(load_tile(masks, mask, row), estimate_cost(differences, step[0]))

    start = jnp.zeros((len(mask), _COLUMNS), jnp.float32)
    total = lax.fori_loop(0, -(-of_z.shape[0] // _ROWS), add, start)
    index = [jnp.broadcast_to(place, total.shape) for place in (mask[:, None], row_y, column[None])]
    store_where(costs, index, total, (index[0] < n_masks) & (index[2] < n_columns))
