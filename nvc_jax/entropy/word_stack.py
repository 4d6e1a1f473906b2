"""Stacks of 16-bit words, one for each group of lanes, with many words a step.

A *group* is GROUP_LANES neighbouring lanes. The lanes of a group share a stack; groups share nothing, so that
each may run by itself on a core or a unit of a device. Within a step the encoder appends the words of the
last lane of a group first, and the decoder takes those of the first lane first.
"""

import jax
import jax.numpy as jnp
from jax import lax

WORD_BITS = 16
"""Bits of a word."""
GROUP_LANES = 32
"""Lanes of a group: as many as a GPU runs side by side, and as a 32-bit word has bits."""


def append_words(
    buffer: jax.Array, tops: jax.Array, masks: list[jax.Array], words: list[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Append words to the stacks: of each lane, from the last to the first, one of each mask in turn.

    Args:
        buffer: uint16 (capacity,), which holds all stacks.
        tops: int32 (groups,), index behind the last word of each stack.
        masks: bool (lanes,) arrays, lanes that append a word.
        words: uint32 (lanes,) arrays, the words in their low 16 bits; one array for each mask.

    Returns:
        The buffer, and the tops.
    """
    above, counts = _words_above(masks)
    ends = jnp.repeat(tops + counts, GROUP_LANES)
    positions = [
        jnp.where(mask, ends - 1 - before, buffer.shape[0])
        for mask, before in zip(masks, reversed(above), strict=True)
    ]
    appended = jnp.concatenate(words).astype(jnp.uint16)
    return buffer.at[jnp.concatenate(positions)].set(appended, mode="drop"), tops + counts


def take_words(
    buffer: jax.Array, tops: jax.Array, masks: list[jax.Array]
) -> tuple[list[jax.Array], jax.Array]:
    """Take words from the stacks: of each lane, from the first to the last, one of each mask in turn.

    Inverts ``append_words`` with the masks in the reverse order.

    Returns:
        uint32 (lanes,) arrays, one for each mask and arbitrary where it is false; and the tops. Below the
        buffer's first word, where only damaged streams reach, words are 0.
    """
    above, counts = _words_above(masks[::-1])
    top = jnp.repeat(tops, GROUP_LANES)
    positions = jnp.concatenate([top - 1 - before for before in above])
    words = jnp.where(
        positions < 0, 0, buffer.at[jnp.maximum(positions, 0)].get(mode="clip").astype(jnp.uint32)
    )
    return jnp.split(words, len(masks)), tops - counts


def _words_above(masks: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """Count the words that are taken before each lane's own.

    Args:
        masks: in the order of appending.

    Returns:
        int32 (lanes,) arrays, in the order of taking, and the words of each group, int32 (groups,).
    """
    bit = jnp.arange(GROUP_LANES, dtype=jnp.uint32)[None, None]
    taken = jnp.stack(masks[::-1]).astype(jnp.int32).reshape(len(masks), -1, GROUP_LANES)
    packed = jnp.sum(taken.astype(jnp.uint32) << bit, axis=2, dtype=jnp.uint32)
    lower = (jnp.uint32(1) << bit) - 1
    of_lower_lanes = jnp.sum(_count(packed[:, :, None] & lower), axis=0, dtype=jnp.int32)
    own = jnp.cumsum(taken, axis=0, dtype=jnp.int32) - taken
    above = (of_lower_lanes[None] + own).reshape(len(masks), -1)
    return list(above), jnp.sum(_count(packed), axis=0, dtype=jnp.int32)


def _count(bits: jax.Array) -> jax.Array:
    """Count the bits that are set, int32."""
    return lax.population_count(bits).astype(jnp.int32)
