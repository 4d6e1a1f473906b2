"""Tokens: integers of any magnitude in an alphabet of 64 symbols."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

N_TOKENS = 64
"""Tokens of a table."""
ESCAPE = N_TOKENS - 1
"""The token that the integers follow whose own token a table lacks; every table of integers has it."""
_N_SMALL = 9  # magnitudes below have tokens of their own
_N_SMALL_TOKENS = 2 * _N_SMALL - 1
ESCAPE_BITS = 24
MAX_MAGNITUDE = (1 << ESCAPE_BITS - 1) - 1
"""Largest magnitude that ``push`` codes."""


def to_token(value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Token, extra bits and their number (all uint32) of int32 ``value``, |value| ≤ MAX_MAGNITUDE.

    Odd tokens are negative. Tokens 0 … 16 are 0, −1, 1, −2, 2 … −8, 8; above, two tokens share a power of
    two, whose remainder is the extra bits.
    """
    magnitude = jnp.abs(value).astype(jnp.uint32)
    beyond = jnp.maximum(magnitude, _N_SMALL) - jnp.uint32(_N_SMALL - 1)
    n_bits = 31 - lax.clz(beyond)
    is_small = magnitude < _N_SMALL
    token = jnp.where(is_small, 2 * magnitude, _N_SMALL_TOKENS + 1 + 2 * n_bits)
    return (
        token - (value < 0).astype(jnp.uint32),
        jnp.where(is_small, 0, beyond - (jnp.uint32(1) << n_bits)),
        jnp.where(is_small, 0, n_bits),
    )


def n_extra_bits(token: jax.Array) -> jax.Array:
    """How many bits follow ``token`` (uint32)."""
    large = (jnp.maximum(token, _N_SMALL_TOKENS) - jnp.uint32(_N_SMALL_TOKENS)) >> jnp.uint32(1)
    return jnp.where(token == ESCAPE, ESCAPE_BITS, large)


def from_token(token: jax.Array, extra: jax.Array) -> jax.Array:
    """The int32 value of a token and its extra bits; the inverse of ``to_token``."""
    small = (token + 1) >> jnp.uint32(1)
    large = (jnp.uint32(1) << n_extra_bits(token)) + extra + jnp.uint32(_N_SMALL - 1)
    magnitude = jnp.where(token < _N_SMALL_TOKENS, small, large).astype(jnp.int32)
    coded = jnp.where(token & 1 == 1, -magnitude, magnitude)
    return jnp.where(token == ESCAPE, extra.astype(jnp.int32) - (1 << ESCAPE_BITS - 1), coded)


def token_ranges() -> tuple[np.ndarray, np.ndarray]:
    """For every token but ESCAPE its smallest magnitude and how many it covers, int64 (N_TOKENS − 1,)."""
    token = np.arange(ESCAPE)
    small = token < _N_SMALL_TOKENS
    count = 1 << np.maximum(token - _N_SMALL_TOKENS, 0) // 2
    return np.where(small, (token + 1) // 2, count + _N_SMALL - 1), count
