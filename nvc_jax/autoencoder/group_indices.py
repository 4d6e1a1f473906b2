"""Indices within kernels of GPUs."""

import jax
import jax.numpy as jnp
from jax import lax

LARGEST_INDEX = 2**31 - 1
"""Indices are of 32 bits."""


def divide(number: jax.Array, divisor: int) -> tuple[jax.Array, jax.Array]:
    """Divide an int32 of at least 0: quotient and remainder.

    Python's ``//`` takes more steps, some of which Triton's language lacks.
    """
    divisors = jnp.full_like(number, divisor)
    return lax.div(number, divisors), lax.rem(number, divisors)
