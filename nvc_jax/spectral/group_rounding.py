"""Kernel of errors of rounding for GPUs; ``rounding_errors`` has its specification.

A program takes some blocks. The thresholds of each coefficient are looked up where it is rounded: XLA writes
all of them to memory.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import load_tile, load_where, run_tiles, store_where, this_tile, tile_indices
from nvc_jax.spectral.dead_zone import round_with_dead_zone

_BLOCKS, _COEFFICIENTS = 32, 32
"""Blocks of one program, and coefficients of each that are taken at a time."""
_WARPS = 4


def rounding_errors(
    tables: jax.Array,
    first: jax.Array,
    further: jax.Array,
    values: jax.Array,
    classes: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Compute the squared errors of blocks, first coefficients left out.

    Args:
        tables: int32 (K, 512), of ``DecisionCosts``, as are thresholds.
        first: float32 (R + 1,), first thresholds.
        further: float32 (R + 1,), further thresholds.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        classes: int32 (n,).
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (n,).
    """
    errors: jax.Array = run_tiles(
        _sum_errors,
        (-(-len(classes) // _BLOCKS),),
        jax.ShapeDtypeStruct(classes.shape, jnp.float32),
        *(tables, first, further, jnp.transpose(values), classes),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return errors


def _sum_errors(tables: Any, first: Any, further: Any, values: Any, classes: Any, errors: Any) -> None:
    """Sum up the errors of some blocks, whose ``values`` are float32 (512, n)."""
    (tile,) = this_tile(1)
    block = tile_indices(tile, _BLOCKS)
    exists = block < classes.shape[0]
    block_class = load_where(classes, (block,), exists)
    shape = (_COEFFICIENTS, _BLOCKS)

    def add(part: jax.Array, total: jax.Array) -> jax.Array:
        coefficient = tile_indices(part, _COEFFICIENTS)
        steps = load_tile(values, coefficient, block)
        index = [jnp.broadcast_to(place, shape) for place in (block_class[None], coefficient[:, None])]
        table = load_where(tables, index, jnp.ones(shape, bool))
        thresholds = (load_where(memory, (table,), jnp.ones(shape, bool)) for memory in (first, further))
        error = steps - round_with_dead_zone(steps, *thresholds).astype(jnp.float32)
        return total + jnp.sum(jnp.where((coefficient > 0)[:, None], error * error, 0), axis=0)

    n_parts = values.shape[0] // _COEFFICIENTS
    total = lax.fori_loop(0, n_parts, add, jnp.zeros(_BLOCKS, jnp.float32))
    store_where(errors, (block,), total, exists)
