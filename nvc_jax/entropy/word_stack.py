"""Stacks of 16-bit words, one for each group of lanes, with many words a step.

A *group* is GROUP_LANES neighbouring lanes. The lanes of a group share a stack; groups share nothing, so that
each may run by itself on a core or a unit of a device. Within a step the encoder appends the words of the
last lane of a group first, and the decoder takes those of the first lane first.

A kernel of a GPU runs one group (see ``group_kernels``): its buffer is a reference to memory, and there is
one top, int32 (). It counts the words of lower lanes by a running sum, where the other form counts the bits
of a 32-bit word.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import GROUP_LANES, load_where, store_where

WORD_BITS = 16
"""Bits of a word."""


def append_words(
    buffer: Any, tops: jax.Array, masks: list[jax.Array], words: list[jax.Array]
) -> tuple[Any, jax.Array]:
    """Append words to the stacks: of each lane, from the last to the first, one of each mask in turn.

    Args:
        buffer: uint16 (capacity,), which holds all stacks; or a reference to such memory.
        tops: int32 (groups,), index behind the last word of each stack.
        masks: bool (lanes,) arrays, lanes that append a word.
        words: uint32 (lanes,) arrays, the words in their low 16 bits; one array for each mask.

    Returns:
        The buffer, and the tops.
    """
    if tops.ndim == 0:
        return _append_to_memory(buffer, tops, masks, words)
    above, counts = _words_above(masks)
    ends = jnp.repeat(tops + counts, GROUP_LANES)
    positions = [
        jnp.where(mask, ends - 1 - before, buffer.shape[0])
        for mask, before in zip(masks, reversed(above), strict=True)
    ]
    appended = jnp.concatenate(words).astype(jnp.uint16)
    return buffer.at[jnp.concatenate(positions)].set(appended, mode="drop"), tops + counts


def take_words(buffer: Any, tops: jax.Array, masks: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """Take words from the stacks: of each lane, from the first to the last, one of each mask in turn.

    Inverts ``append_words`` with the masks in the reverse order.

    Returns:
        uint32 (lanes,) arrays, one for each mask and arbitrary where it is false; and the tops. Below the
        buffer's first word, where only damaged streams reach, words are 0.
    """
    if tops.ndim == 0:
        return _take_from_memory(buffer, tops, masks)
    above, counts = _words_above(masks[::-1])
    top = jnp.repeat(tops, GROUP_LANES)
    positions = jnp.concatenate([top - 1 - before for before in above])
    words = jnp.where(
        positions < 0, 0, buffer.at[jnp.maximum(positions, 0)].get(mode="clip").astype(jnp.uint32)
    )
    return jnp.split(words, len(masks)), tops - counts


def _append_to_memory(
    memory: Any, top: jax.Array, masks: list[jax.Array], words: list[jax.Array]
) -> tuple[Any, jax.Array]:
    """Append the words of one group within a kernel; see ``append_words``."""
    above, count = _words_above_in_group(masks)
    for mask, before, word in zip(masks, reversed(above), words, strict=True):
        store_where(memory, (top + count - 1 - before,), word, mask)
    return memory, top + count


def _take_from_memory(
    memory: Any, top: jax.Array, masks: list[jax.Array]
) -> tuple[list[jax.Array], jax.Array]:
    """Take the words of one group within a kernel; see ``take_words``."""
    above, count = _words_above_in_group(masks[::-1])
    taken = [
        load_where(memory, (top - 1 - before,), mask).astype(jnp.uint32)
        for mask, before in zip(masks, above, strict=True)
    ]
    return taken, top - count


def _words_above_in_group(masks: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """Count the words that are taken before each lane's own, as ``_words_above`` does, in one group."""
    taken = [mask.astype(jnp.int32) for mask in masks[::-1]]
    of_lane = sum(taken[1:], taken[0])
    before, above = jnp.cumsum(of_lane, dtype=jnp.int32) - of_lane, []
    for one in taken:
        above.append(before)
        before = before + one
    return above, jnp.sum(of_lane, dtype=jnp.int32)


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
