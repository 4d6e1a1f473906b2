"""Kernel of GPUs that estimates the costs of DC; ``dc_costs.sum_along_z`` has its specification.

A program takes some columns of blocks. Differences and their costs stay in registers: XLA writes all of them
to memory, once more in another order, and reads them again.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.group_kernels import (
    load_tile,
    multiply_tiles,
    run_tiles,
    store_where,
    this_tile,
    tile_indices,
    tile_side,
)
from nvc_jax.spectral.line_costs import estimate_cost

_COLUMNS, _ROWS = 64, 64
"""Columns of one program, and differences along z that are taken at a time."""
_WARPS = 8


def sum_along_z(
    columns: jax.Array, predictors: jax.Array, step: jax.Array, *, masks: np.ndarray, interpret: bool = False
) -> jax.Array:
    """Sum up the costs of differences along z; arguments and result are those of ``dc_costs.sum_along_z``."""
    n_columns = columns.shape[0] * columns.shape[1]
    sums: jax.Array = run_tiles(
        _sum_columns,
        (-(-n_columns // _COLUMNS),),
        jax.ShapeDtypeStruct((len(masks), n_columns), jnp.float32),
        *(columns.reshape(n_columns, -1), predictors, jnp.asarray(masks, jnp.float32), jnp.reshape(step, 1)),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return sums.reshape(-1, *columns.shape[:2])


def _sum_columns(columns: Any, predictors: Any, masks: Any, step: Any, sums: Any) -> None:
    """Sum up the costs of some columns, float32 (n, z)."""
    n_rows, n_blocks = predictors.shape
    n_masks, n_columns = sums.shape
    (tile,) = this_tile(1)
    column, mask = tile_indices(tile, _COLUMNS), tile_indices(0, tile_side(n_masks, n_masks))
    block = tile_indices(0, tile_side(n_blocks, n_blocks))
    of_columns = load_tile(columns, column, block)

    def add(part: jax.Array, total: jax.Array) -> jax.Array:
        row = tile_indices(part, _ROWS)
        differences = multiply_tiles(load_tile(predictors, row, block), of_columns, transposes_right=True)
        return total + multiply_tiles(load_tile(masks, mask, row), estimate_cost(differences, step[0]))

    start = jnp.zeros((len(mask), _COLUMNS), jnp.float32)
    total = lax.fori_loop(0, -(-n_rows // _ROWS), add, start)
    index = [jnp.broadcast_to(place, total.shape) for place in (mask[:, None], column[None])]
    store_where(sums, index, total, (index[0] < n_masks) & (index[1] < n_columns))
