"""Weighted sums of counts: exact integers by products of floats, which every device computes faster."""

import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.platforms import Forms, choose_form

PART_BITS = 6
"""Bits of a part of weights."""
MAX_COUNT = 255
"""Largest count."""

N_BFLOAT16_PARTS = 3
"""Parts of weights that bfloat16 holds."""


def weighted_sums(counts: jax.Array, weights: jax.Array) -> jax.Array:
    """Multiply counts of 0 … 255, int32 (n, m), by weights of 16 bits, int32 (m, K): int32 (n, K).

    Products of floats are faster than of integers. Weights are divided into parts, so that all sums are whole
    numbers below 2**24, as far as the caller limits the weights, which float32 holds: the result is exact in
    any order of adding. CPUs multiply float32, in two parts. Matrix units multiply bfloat16, which holds 8
    bits, in three parts.
    """
    float32 = partial(_sums_by_parts, n_parts=2, dtype=jnp.float32)
    bfloat16 = partial(_sums_by_parts, n_parts=N_BFLOAT16_PARTS, dtype=jnp.bfloat16)
    result = jax.ShapeDtypeStruct((counts.shape[0], weights.shape[1]), jnp.int32)
    return choose_form(Forms(float32, bfloat16, bfloat16), result, counts, weights)


def _sums_by_parts(counts: jax.Array, weights: jax.Array, *, n_parts: int, dtype: Any) -> jax.Array:
    """Multiply by parts of weights: PART_BITS bits each, and in the last all higher bits and the sign."""
    parts = parts_of_weights(weights, n_parts)
    products = jnp.matmul(
        counts.astype(dtype),
        jnp.concatenate(parts, axis=1).astype(dtype),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )
    of_parts = jnp.split(products.astype(jnp.int32), n_parts, axis=1)
    return functools.reduce(jnp.add, (part << n * PART_BITS for n, part in enumerate(of_parts)))


def parts_of_weights(weights: jax.Array, n_parts: int) -> list[jax.Array]:
    """Divide weights, int32, into parts: the weights are the sum of parts << number · PART_BITS."""
    parts = [weights >> number * PART_BITS for number in range(n_parts)]
    return [*(part & ((1 << PART_BITS) - 1) for part in parts[:-1]), parts[-1]]
