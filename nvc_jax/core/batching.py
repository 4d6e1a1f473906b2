"""Loops of compiled programs: rows of a large array some at a time, and loops of batches.

A loop inside of ``jax.shard_map`` needs ``varying_like``. A loop inside of ``jax.vmap`` needs
``common_bound``, unless its number of steps is the same for the whole batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def map_rows(function: Callable[[Any], Any], rows: Any, rows_per_step: int = 1024) -> Any:
    """Apply a function to arrays with many rows, some rows at a time, so that intermediates stay in cache.

    Args:
        function: takes a tree like ``rows`` with fewer rows, returns a tree of arrays with as many rows. It
            must treat rows independently; the last call gets rows of zeros, too.
        rows: a tree of arrays (n, …).
        rows_per_step: approximate number of rows of one call.

    Returns:
        The results for all rows.
    """
    n = jax.tree.leaves(rows)[0].shape[0]
    n_steps = -(-n // rows_per_step)
    size = -(-n // n_steps)

    def cut(array: jax.Array) -> jax.Array:
        padded = jnp.pad(array, [(0, n_steps * size - n)] + [(0, 0)] * (array.ndim - 1))
        return padded.reshape(n_steps, size, *array.shape[1:])

    results = lax.map(function, jax.tree.map(cut, rows))
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:n], results)


@jax.custom_batching.custom_vmap
def common_bound(n_steps: jax.Array) -> jax.Array:
    """Get the number of steps of a loop, int32: within ``jax.vmap`` the largest of the batch.

    With numbers of their own, all that the loop carries would be copied and selected at each step. Steps
    beyond an item's own number must leave the item's results as they are.
    """
    return n_steps


@common_bound.def_vmap
def _(axis_size: int, in_batched: list[bool], n_steps: jax.Array) -> tuple[jax.Array, bool]:
    return common_bound(jnp.max(n_steps)), False


def varying_like(reference: jax.Array, tree: Any) -> Any:
    """Mark arrays as varying over the devices of a ``shard_map`` over which ``reference`` varies.

    A loop requires that the arrays it carries have the same type before and after a step. Constants do not
    vary over devices, but the results of the step do. Values do not change.
    """
    zero = (reference.reshape(-1)[0] * 0).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)
