"""Products of integers in kernels of TPUs, whose matrix units take eight bits at twice the pace of bfloat16.

A number of fifteen bits has two parts, of which the first counts 128 times. The product of two such numbers
takes three passes, without that of both second parts, in half the time of three passes of bfloat16.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

PART = 1 << 7
"""Weight of a first part."""
LARGEST = PART * 127 + 63
"""Largest number: both of its parts are in eight bits."""


class Integers(NamedTuple):
    """Numbers as integers of two parts.

    Attributes:
        first: int8.
        second: int8, from -64 to 63.
        scale: float32, one for all numbers of an axis: a number is ``scale * (128 * first + second)``.
    """

    first: jax.Array
    second: jax.Array
    scale: jax.Array


def to_integers(values: jax.Array, axis: int | None) -> Integers:
    """Round float32 to integers by the largest along an axis, or of all."""
    largest = jnp.max(jnp.abs(values), axis=axis, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1.0) * (1 / LARGEST)
    # Half is added before truncation, as the conversion of TPUs truncates.
    numbers = jnp.floor(values * (1 / scale) + (PART // 2 + 0.5)).astype(jnp.int32)
    first = numbers >> 7
    second = (numbers & PART - 1) - PART // 2
    return Integers(first.astype(jnp.int8), second.astype(jnp.int8), scale)


def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
    """Multiply int8 (n, k) by int8 (k, m): int32 (n, m)."""
    contracted = (((1,), (0,)), ((), ()))
    return lax.dot_general(left, right, contracted, preferred_element_type=jnp.int32)
