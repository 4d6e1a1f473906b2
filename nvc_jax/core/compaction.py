"""Compaction: items that count before all others, in their order."""

import jax
import jax.numpy as jnp


def compact(coded: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Order items so that those that are coded come first.

    Args:
        coded: bool (n,).

    Returns:
        int32 (n,) indices: those of coded items, in order, then all others; and int32, the number of coded
        items.
    """
    index = jnp.arange(len(coded), dtype=jnp.int32)
    ranks = jnp.cumsum(coded, dtype=jnp.int32)
    position = jnp.where(coded, ranks - 1, ranks[-1] + index - ranks)
    return jnp.zeros_like(index).at[position].set(index, unique_indices=True), ranks[-1]
