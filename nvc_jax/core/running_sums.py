"""Running sums: on GPUs of NVIDIA by one kernel, of which XLA makes three or four."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import has_group_kernels, load_where, run_groups, store_where
from nvc_jax.core.platforms import Forms, choose_form

_TILE = 1024
"""Values that the kernel sums up at once: 32 of each thread."""
LONGEST_OF_KERNEL = 1 << 16
"""Largest number of values for the kernel: one program goes through them, so that more would take longer than
XLA's kernels together."""


def count_tiles(n: int) -> int:
    """Count the tiles of n values."""
    return -(-n // _TILE)


def tile_indices(tile: jax.Array) -> jax.Array:
    """Get the indices of a tile's values within a kernel, int32; those of the last tile may be too large."""
    return tile * _TILE + lax.iota(jnp.int32, _TILE)


def running_sum(values: jax.Array) -> jax.Array:
    """Sum up values from the first to each: of int32 or float32 (n,), an array of the same dtype and shape.

    Integers are summed up exactly. Sums of floats differ between platforms by roundings.
    """
    if not has_group_kernels() or len(values) > LONGEST_OF_KERNEL:
        return by_scan(values)
    return choose_form(Forms(by_scan, by_scan, by_kernel), values, values)


def by_scan(values: jax.Array) -> jax.Array:
    """Sum up in ``jax.numpy``: the specification of the kernel."""
    return jnp.cumsum(values, dtype=values.dtype)


def by_kernel(values: jax.Array, *, interpret: bool = False) -> jax.Array:
    """Sum up by a kernel of GPUs: tile by tile, each of which begins with the sum of those before."""
    results = [jax.ShapeDtypeStruct(values.shape, values.dtype)]
    return run_groups(_sum_tiles, 1, results, values, interpret=interpret)[0]


def _sum_tiles(values: Any, sums: Any) -> None:
    """Sum up all values of one array."""
    n = values.shape[0]

    def sum_tile(tile: jax.Array, before: jax.Array) -> jax.Array:
        index = tile_indices(tile)
        exists = index < n
        of_tile = load_where(values, (index,), exists)
        store_where(sums, (index,), before + jnp.cumsum(of_tile, dtype=values.dtype), exists)
        return before + jnp.sum(of_tile, dtype=values.dtype)

    lax.fori_loop(0, count_tiles(n), sum_tile, jnp.zeros((), values.dtype))
