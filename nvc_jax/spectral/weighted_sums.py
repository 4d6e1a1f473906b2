"""Weighted sums of counts: exact integers by products of floats, which every device computes faster."""

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


def weighted_sums(counts: jax.Array, weights: jax.Array) -> jax.Array:
    """Multiply counts of 0 … 255, int32 (n, 512), by weights of 16 bits, int32 (512, K): int32 (n, K).

    Products of floats are faster than of integers. Weights are divided into parts, so that all sums are whole
    numbers below 2**24, which float32 holds: the result is exact in any order of adding. CPUs multiply
    float32, in two parts. Matrix units multiply bfloat16, which holds 8 bits, in three parts.
    """
    float32 = partial(_sums_by_parts, n_parts=2, dtype=jnp.float32)
    bfloat16 = partial(_sums_by_parts, n_parts=3, dtype=jnp.bfloat16)
    result = jax.ShapeDtypeStruct((counts.shape[0], weights.shape[1]), jnp.int32)
    return choose_form(Forms(float32, bfloat16, bfloat16), result, counts, weights)


def _sums_by_parts(counts: jax.Array, weights: jax.Array, *, n_parts: int, dtype: Any) -> jax.Array:
    """Multiply by parts of weights: PART_BITS bits each, and in the last all higher bits and the sign."""
    total = jnp.zeros((), jnp.int32)
    for number in range(n_parts):
        part = weights >> number * PART_BITS
        if number < n_parts - 1:
            part = part & ((1 << PART_BITS) - 1)
        products = jnp.matmul(
            counts.astype(dtype),
            part.astype(dtype),
            precision=lax.Precision.HIGHEST,
            preferred_element_type=jnp.float32,
        )
        total = total + (products.astype(jnp.int32) << number * PART_BITS)
    return total
