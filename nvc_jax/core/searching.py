"""Search in sorted numbers by unrolled bisection, which compiles to no loop; and different integers.

``jnp.searchsorted`` gives the same results. It runs a loop whose every step starts several kernels on a GPU,
or compares all numbers with all entries.
"""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.platforms import Forms, choose_form


def different_integers(integers: np.ndarray) -> np.ndarray:
    """Find the different ones of some integers, (n,), in ascending order, on the host.

    ``np.unique`` puts them into a table of hashes, which takes 20 times as long for a few thousand.
    """
    ascending = np.sort(integers, axis=None)
    is_new = np.ones(len(ascending), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_new[1:])
    return ascending[is_new]


def count_below(ascending: Any, numbers: jax.Array) -> jax.Array:
    """Count the entries that are smaller than each number.

    Args:
        ascending: (n,), sorted; or, in a kernel, a reference to such memory.
        numbers: any shape, the dtype of the entries.

    Returns:
        int32, of the shape of ``numbers``.
    """
    return _count(ascending, numbers, operator.lt)


def count_not_above(ascending: Any, numbers: jax.Array) -> jax.Array:
    """Count the entries that are at most as large as each number; see ``count_below``."""
    return _count(ascending, numbers, operator.le)


def count_below_each(ascending: jax.Array, numbers: jax.Array) -> jax.Array:
    """Count the entries that are smaller than each number, as ``count_below``, where both are a few thousand.

    Accelerators compare all numbers with all entries, by one kernel.

    Args:
        ascending: (n,), sorted.
        numbers: (m,), the dtype of the entries.

    Returns:
        int32 (m,).
    """

    def compare_all(ascending: jax.Array, numbers: jax.Array) -> jax.Array:
        return jnp.sum(ascending[:, None] < numbers[None], axis=0, dtype=jnp.int32)

    forms = Forms(count_below, compare_all, compare_all)
    return choose_form(forms, jax.ShapeDtypeStruct(numbers.shape, jnp.int32), ascending, numbers)


def _count(ascending: Any, numbers: jax.Array, precedes: Callable[[Any, Any], jax.Array]) -> jax.Array:
    """Count the entries that precede each number: those before the first one that does not."""
    n = ascending.shape[0]
    count = jnp.zeros(numbers.shape, jnp.int32)
    for n_bits in reversed(range(n.bit_length())):
        more = count + (1 << n_bits)
        entry = ascending[jnp.minimum(more, n) - 1]
        count = jnp.where((more <= n) & precedes(entry, numbers), more, count)
    return count
