"""Arrays that a program returns but nobody reads."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from nvc_jax.native.dispatch import call, on_cpu

T = TypeVar("T")


def unset_arrays(described: T) -> T:
    """Make arrays for the results of a branch that has none: on CPUs their values are not set, elsewhere 0.

    Args:
        described: tree of ``jax.ShapeDtypeStruct``.
    """

    def reference() -> T:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), described)

    def kernel() -> T:
        leaves = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(described)]
        return jax.tree.unflatten(jax.tree.structure(described), call("nvc_leave_unset", leaves))

    return on_cpu(kernel, reference)
