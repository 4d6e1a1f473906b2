"""Loops of compiled programs: rows of a large array some at a time, and loops of batches.

A loop inside of ``jax.shard_map`` needs ``varying_like``. A loop inside of ``jax.vmap`` needs
``common_bound``, unless its number of steps is the same for the whole batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.platforms import Forms, choose_form, hoist


def map_rows(function: Callable[[Any], Any], rows: Any, rows_per_step: int = 1024) -> Any:
    """Apply a function to arrays with many rows: on CPUs some at a time, so that intermediates stay in cache.

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

    results = map_in_turn(function, jax.tree.map(cut, rows))
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:n], results)


def map_in_turn(function: Callable[[Any], Any], items: Any) -> Any:
    """Apply a function to each of a few items: on CPUs one after the other, elsewhere all at once.

    A loop compiles faster than a batch and uses the caches of a CPU better; on a GPU each step of a loop
    starts all kernels of the function anew.

    Args:
        function: takes a tree like ``items`` without the first axis; returns a tree of arrays.
        items: a tree of arrays with the same number of items.
    """
    n = jax.tree.leaves(items)[0].shape[0]
    hoisted, result, captured = hoist(
        function, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), items)
    )

    def in_turn(captured: list[Any], items: Any) -> Any:
        return lax.map(lambda item: hoisted(captured, item), items)

    def at_once(captured: list[Any], items: Any) -> Any:
        return jax.vmap(hoisted, (None, 0))(captured, items)

    results = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((n, *leaf.shape), leaf.dtype), result)
    return choose_form(Forms(in_turn, at_once, at_once), results, captured, items)


def in_turn_on_tpus(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that ``jax.vmap`` runs on TPUs for one item of a batch after the other.

    A batch of large programs compiles for minutes there, and takes its memory many times; it is not faster
    where a program fills the device by itself. Other platforms batch the function.

    Args:
        function: takes and returns trees of arrays, and uses no traced arrays but its arguments.
    """
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def _(axis_size: int, in_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        leaves, tree = jax.tree.flatten(arguments)
        axes = [0 if is_batched else None for is_batched in jax.tree.leaves(in_batched)]

        def of_item(*leaves: jax.Array) -> Any:
            return function(*jax.tree.unflatten(tree, leaves))

        items = [
            jax.ShapeDtypeStruct(leaf.shape[axis is not None :], leaf.dtype)
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        hoisted, result, captured = hoist(of_item, *items)

        def at_once(captured: list[Any], *leaves: Any) -> Any:
            return jax.vmap(hoisted, (None, *axes), axis_size=axis_size)(captured, *leaves)

        def in_turn(captured: list[Any], *leaves: Any) -> Any:
            batched = [leaf for leaf, axis in zip(leaves, axes, strict=True) if axis == 0]

            def run(item: list[jax.Array]) -> Any:
                own = iter(item)
                mixed = [next(own) if axis == 0 else leaf for leaf, axis in zip(leaves, axes, strict=True)]
                return hoisted(captured, *mixed)

            return lax.map(run, batched)

        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((axis_size, *leaf.shape), leaf.dtype), result)
        results = choose_form(Forms(at_once, at_once, at_once, in_turn), shapes, captured, *leaves)
        return results, jax.tree.map(lambda _: True, results)

    return mapped


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
