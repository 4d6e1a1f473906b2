"""Tokens: integers of any magnitude as symbols of a small alphabet, and extra bits.

A frequency table of every integer would be too large. Small integers have a token each. Larger ones share a
token with the integers of the same sign in the same power-of-two interval, and extra bits tell them apart.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

N_TOKENS = 64
"""Number of tokens, including the escape."""
ESCAPE = N_TOKENS - 1
"""Token before an integer whose own token has frequency 0 in the table; every table of integers has it."""
ESCAPE_BITS = 24
"""Extra bits of the escape: they hold the integer itself, plus 2**(ESCAPE_BITS − 1)."""
MAX_MAGNITUDE = (1 << ESCAPE_BITS - 1) - 1
"""Largest magnitude of an integer that can be coded."""

_N_SMALL = 9
"""Number of magnitudes, from 0, that have tokens of their own."""
N_SMALL_TOKENS = 2 * _N_SMALL - 1
"""Number of tokens of small integers: one for 0 and two for each other magnitude."""


def to_token(value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Convert integers to tokens and extra bits.

    Tokens 0 … 16 are the integers 0, −1, 1, −2, 2 … −8, 8. From 17 on, each pair of tokens, negative and
    positive, covers an interval of magnitudes that is twice as long as the one before; the extra bits are the
    distance from its smallest magnitude. Odd tokens are negative.

    Args:
        value: int32, |value| ≤ MAX_MAGNITUDE.

    Returns:
        Token, extra bits and the number of extra bits, all uint32.
    """
    magnitude = jnp.abs(value).astype(jnp.uint32)
    beyond = jnp.maximum(magnitude, _N_SMALL) - jnp.uint32(_N_SMALL - 1)
    n_bits = (31 - lax.clz(beyond.astype(jnp.int32))).astype(jnp.uint32)  # GPUs count those of int32 only
    is_small = magnitude < _N_SMALL
    token = jnp.where(is_small, 2 * magnitude, N_SMALL_TOKENS + 1 + 2 * n_bits)
    return (
        token - (value < 0).astype(jnp.uint32),
        jnp.where(is_small, 0, beyond - (jnp.uint32(1) << n_bits)),
        jnp.where(is_small, 0, n_bits),
    )


def n_extra_bits(token: jax.Array) -> jax.Array:
    """Number of extra bits after each ``token`` (uint32)."""
    large = (jnp.maximum(token, N_SMALL_TOKENS) - jnp.uint32(N_SMALL_TOKENS)) >> jnp.uint32(1)
    return jnp.where(token == ESCAPE, ESCAPE_BITS, large)


def from_token(token: jax.Array, extra: jax.Array) -> jax.Array:
    """Convert tokens and extra bits, both uint32, back to int32 integers; the inverse of ``to_token``.

    The escape is understood, too.
    """
    small = (token + 1) >> jnp.uint32(1)
    large = (jnp.uint32(1) << n_extra_bits(token)) + extra + jnp.uint32(_N_SMALL - 1)
    magnitude = jnp.where(token < N_SMALL_TOKENS, small, large).astype(jnp.int32)
    coded = jnp.where(token & 1 == 1, -magnitude, magnitude)
    return jnp.where(token == ESCAPE, extra.astype(jnp.int32) - (1 << ESCAPE_BITS - 1), coded)


def token_ranges() -> tuple[np.ndarray, np.ndarray]:
    """Smallest magnitude of each token but ESCAPE, and its number of magnitudes; int64 (63,) each."""
    token = np.arange(ESCAPE)
    small = token < N_SMALL_TOKENS
    count = 1 << np.maximum(token - N_SMALL_TOKENS, 0) // 2
    return np.where(small, (token + 1) // 2, count + _N_SMALL - 1), count
