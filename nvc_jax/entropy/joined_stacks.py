"""Joining of stacks: the words of all groups of lanes, one group after the other, as a stream has them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import has_group_kernels, load_where, run_groups, store_where, this_group
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.searching import count_not_above

_LANES = 1024
"""Words that one program of a GPU moves."""


def join_stacks(words: jax.Array, bases: jax.Array, group_words: jax.Array) -> jax.Array:
    """Move the words of each group behind those of the group before, and clear all words behind the last.

    Args:
        words: uint16 (capacity,), which holds all stacks.
        bases: int32 (groups,), index of the first word of each stack.
        group_words: int32 (groups,), number of words of each stack.

    Returns:
        uint16 (capacity,).
    """
    forms = Forms(join_reference, join_by_steps, join_by_kernel if has_group_kernels() else join_by_steps)
    return choose_form(forms, words, words, bases, group_words)


def join_reference(words: jax.Array, bases: jax.Array, group_words: jax.Array) -> jax.Array:
    """Join stacks in ``jax.numpy``: the specification of the kernel."""
    ends = jnp.cumsum(group_words, dtype=jnp.int32)
    index = jnp.arange(len(words), dtype=jnp.int32)
    source, is_word = _source_of(index, ends, _distances(bases, ends, group_words))
    return jnp.where(is_word, words.at[source].get(mode="clip"), 0)


def join_by_steps(words: jax.Array, bases: jax.Array, group_words: jax.Array) -> jax.Array:
    """Join stacks without looking up groups, which TPUs do slowly and take long to compile.

    The distance by which words move is a function of their place with a step at the end of each group.
    """
    ends = jnp.cumsum(group_words, dtype=jnp.int32)
    distances = _distances(bases, ends, group_words)
    index = jnp.arange(len(words), dtype=jnp.int32)
    is_behind = ends[:-1, None] <= index[None]
    steps = jnp.sum(jnp.where(is_behind, jnp.diff(distances)[:, None], 0), axis=0, dtype=jnp.int32)
    joined = words.at[index + distances[0] + steps].get(mode="clip")
    return jnp.where(index < ends[-1], joined, 0)


def join_by_kernel(
    words: jax.Array, bases: jax.Array, group_words: jax.Array, *, interpret: bool = False
) -> jax.Array:
    """Join stacks by a kernel of GPUs, which needs no memory except for the result."""
    ends = jnp.cumsum(group_words, dtype=jnp.int32)
    n_programs, results = -(-len(words) // _LANES), [jax.ShapeDtypeStruct(words.shape, words.dtype)]
    arguments = (words, ends, _distances(bases, ends, group_words))
    return run_groups(_join_some, n_programs, results, *arguments, interpret=interpret)[0]


def _join_some(words: Any, ends: Any, distances: Any, joined: Any) -> None:
    """Move some of the words."""
    index = this_group() * _LANES + lax.iota(jnp.int32, _LANES)
    source, is_word = _source_of(index, ends, distances)
    store_where(joined, (index,), load_where(words, (source,), is_word), index < joined.shape[0])


def _distances(bases: jax.Array, ends: jax.Array, group_words: jax.Array) -> jax.Array:
    """Compute by how much the words of each group move, int32 (groups,)."""
    return bases - (ends - group_words)


def _source_of(index: jax.Array, ends: Any, distances: Any) -> tuple[jax.Array, jax.Array]:
    """Find from where words come, and whether they are words of a group; of ends and distances of groups."""
    group = count_not_above(ends, index)
    last = ends.shape[0] - 1
    return index + distances[jnp.minimum(group, last)], group <= last
