"""Rows of a large array some at a time, and loops inside ``jax.shard_map``."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def map_rows(function: Callable[[Any], Any], rows: Any, rows_per_step: int = 1024) -> Any:
    """``function`` of a tree of arrays with many rows, some rows at a time: what lies between stays in cache.

    Args:
        function: takes a tree like ``rows`` with fewer rows, returns arrays with as many.
        rows: arrays (n, …).
        rows_per_step: about how many rows to take at a time.
    """
    n = jax.tree.leaves(rows)[0].shape[0]
    n_steps = -(-n // rows_per_step)
    each = -(-n // n_steps)

    def cut(array: jax.Array) -> jax.Array:
        padded = jnp.pad(array, [(0, n_steps * each - n)] + [(0, 0)] * (array.ndim - 1))
        return padded.reshape(n_steps, each, *array.shape[1:])

    results = lax.map(function, jax.tree.map(cut, rows))
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:n], results)


def varying_like(reference: jax.Array, tree: Any) -> Any:
    """``tree`` unchanged, but varying over the devices of a shard_map where ``reference`` does.

    Loops want the types of what they carry to be the same before and after; constants do not vary.
    """
    zero = (reference.reshape(-1)[0] * 0).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)
