"""Compaction: indices that move the selected items of an array to its front and keep their order."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import has_group_kernels, load_where, run_groups, store_where
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.running_sums import LONGEST_OF_KERNEL, count_tiles, tile_indices


def compact(coded: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Order items so that those that are coded come first.

    Args:
        coded: bool (n,).

    Returns:
        int32 (n,) indices: those of coded items, in order, then all others; and int32, the number of coded
        items.
    """
    if not has_group_kernels() or len(coded) > LONGEST_OF_KERNEL:
        return compact_reference(coded)
    results = (jax.ShapeDtypeStruct(coded.shape, jnp.int32), jax.ShapeDtypeStruct((), jnp.int32))
    return choose_form(Forms(compact_reference, compact_reference, compact_by_kernel), results, coded)


def compact_reference(coded: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Order items in ``jax.numpy``: the specification of the kernel."""
    index = jnp.arange(len(coded), dtype=jnp.int32)
    ranks = jnp.cumsum(coded, dtype=jnp.int32)
    position = jnp.where(coded, ranks - 1, ranks[-1] + index - ranks)
    return jnp.zeros_like(index).at[position].set(index, unique_indices=True), ranks[-1]


def compact_by_kernel(coded: jax.Array, *, interpret: bool = False) -> tuple[jax.Array, jax.Array]:
    """Order items by a kernel of GPUs, tile by tile, once their number is known."""
    results = [jax.ShapeDtypeStruct(coded.shape, jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32)]
    order, n_coded = run_groups(_compact_tiles, 1, results, coded, interpret=interpret)
    return order, n_coded[0]


def _compact_tiles(coded: Any, order: Any, n_coded: Any) -> None:
    """Order all items."""
    n = coded.shape[0]

    def load(tile: jax.Array) -> tuple[jax.Array, jax.Array]:
        index = tile_indices(tile)
        return index, load_where(coded, (index,), index < n).astype(jnp.int32)

    def count(tile: jax.Array, before: jax.Array) -> jax.Array:
        return before + jnp.sum(load(tile)[1], dtype=jnp.int32)

    total = lax.fori_loop(0, count_tiles(n), count, jnp.int32(0))

    def place(tile: jax.Array, before: jax.Array) -> jax.Array:
        index, is_coded = load(tile)
        ranks = before + jnp.cumsum(is_coded, dtype=jnp.int32)
        position = jnp.where(is_coded > 0, ranks - 1, total + index - ranks)
        store_where(order, (position,), index, index < n)
        return before + jnp.sum(is_coded, dtype=jnp.int32)

    n_coded[0] = lax.fori_loop(0, count_tiles(n), place, jnp.int32(0))
