"""Rows of several arrays, taken at once.

A compiled program starts each of its operations by itself, and shares them out to other threads where many
are ready at a time. One operation for all rows keeps the program in its thread.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from nvc_jax.native.dispatch import call, on_cpu

T = TypeVar("T")


def take_rows(arrays: T, index: jax.Array) -> T:
    """Take the row of each array at an index.

    Args:
        arrays: tree of arrays of the same number of rows.
        index: int32; rows are counted from the end if it is negative, and the nearest one is taken where
            there is no such row.

    Returns:
        The tree of rows.
    """
    return on_cpu(_take_by_kernel, take_rows_reference, arrays, index)


def take_rows_reference(arrays: T, index: jax.Array) -> T:
    """Take rows: the specification of the kernel."""
    return jax.tree.map(lambda array: array[index], arrays)


def _take_by_kernel(arrays: T, index: jax.Array) -> T:
    """Take rows by a native kernel."""
    rows = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape[1:], array.dtype), arrays)
    taken = call("nvc_take_rows", jax.tree.leaves(rows), jnp.asarray(index), *jax.tree.leaves(arrays))
    return jax.tree.unflatten(jax.tree.structure(rows), taken)
