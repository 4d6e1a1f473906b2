"""Stack of 16-bit words that the lanes of the entropy coder share, with many words a step."""

import jax
import jax.numpy as jnp
from jax import lax

WORD_BITS = 16
"""Bits of a word."""


def append_words(
    stack: jax.Array, used: jax.Array, masks: list[jax.Array], words: list[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Append one word for each lane of each mask: the words of the first mask, then of the second, and so on.

    Args:
        stack: uint16 (capacity,).
        used: int32, number of words on the stack.
        masks: bool (lanes,) arrays, lanes that append a word.
        words: uint32 (lanes,) arrays, the words in their low 16 bits; one array for each mask.

    Returns:
        The stack, and the number of words on it.
    """
    mask = jnp.concatenate(masks)
    appended = jnp.concatenate(words).astype(jnp.uint16)
    rank, count = _ranks(mask)
    position = jnp.where(mask, used + rank - 1, stack.shape[0])
    return stack.at[position].set(appended, mode="drop"), used + count


def take_words(
    stack: jax.Array, used: jax.Array, masks: list[jax.Array]
) -> tuple[list[jax.Array], jax.Array]:
    """Take one word for each lane of each mask; the inverse of ``append_words`` with the same masks.

    Returns:
        uint32 (lanes,) arrays, one for each mask and arbitrary where it is false; and the number of words
        left on the stack.
    """
    rank, count = _ranks(jnp.concatenate(masks))
    words = stack.at[used - count + rank - 1].get(mode="clip").astype(jnp.uint32)
    return jnp.split(words, len(masks)), used - count


def _ranks(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Count the true entries up to and including each entry of a bool (n,): int32 (n,); and all, int32."""
    # 32 entries at a time: a running sum over all entries would take as long as the rest of a coding step.
    n, bit = mask.shape[0], jnp.arange(32, dtype=jnp.uint32)
    bits = jnp.pad(mask, (0, -n % 32)).reshape(-1, 32).astype(jnp.uint32)
    packed = jnp.sum(bits << bit[None], axis=1, dtype=jnp.uint32)
    counts = lax.population_count(packed).astype(jnp.int32)
    ends = jnp.cumsum(counts, dtype=jnp.int32)
    up_to = packed[:, None] & ((jnp.uint32(2) << bit) - 1)[None]
    ranks = (ends - counts)[:, None] + lax.population_count(up_to).astype(jnp.int32)
    return ranks.reshape(-1)[:n], ends[-1]
