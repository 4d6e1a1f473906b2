"""The heads of blocks in a stream: class, mode of the superblock, where the last integer lies, and mean.

A class is coded by the one before, all else by the class. BlockHeaders stand before all integers, so that a decoder
that wants only means may stop.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import share_out
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.block_modes import N_MODES


class BlockHeaders(NamedTuple):
    """The heads of n blocks: int32 (n,) each; 0 where there is no block.

    Attributes:
        classes: of blocks.
        modes: of the block's superblock; only those of regions' first blocks count.
        ends: of ``scan.find_end_of_block``.
        means: as differences.
    """

    classes: jax.Array
    modes: jax.Array
    ends: jax.Array
    means: jax.Array


class _Tables(NamedTuple):
    classes: frequency_tables.Tables
    modes: frequency_tables.Tables
    ends: frequency_tables.Tables
    means: frequency_tables.Tables


def _make_tables(model: EntropyModel) -> _Tables:
    frequencies = (
        model.class_frequencies,
        model.mode_frequencies,
        model.end_frequencies,
        model.frequencies,
    )
    # Of heads there are few tokens.
    return _Tables(*(frequency_tables.make_tables(rows, with_slots=False) for rows in frequencies))


def push_headers(
    model: EntropyModel, layout: BlockLayout, heads: BlockHeaders, coder: rans.Coder, n_lanes: jax.Array
) -> rans.Coder:
    """Code heads. Steps run backwards: see ``entropy``."""
    n, n_classes = layout.order.shape[0], model.tables.shape[0]
    tables, runs = _make_tables(model), share_out(layout.n_blocks, n_lanes, len(coder.states))

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = runs.length - 1 - backwards
        index, active = runs.at(step)
        index = jnp.minimum(index, n - 1)
        block = layout.order[index]
        found, mode, end, mean = (leaf[block] for leaf in heads)
        coder = rans.push(coder, tables.means, model.tables[found, 0], mean, active)
        coder = rans.push_token(coder, tables.ends, found, end.astype(jnp.uint32), active)
        leads = active & layout.starts_superblock[block]
        coder = rans.push_token(coder, tables.modes, found, mode.astype(jnp.uint32), leads)
        earlier = heads.classes[layout.order[jnp.maximum(index - 1, 0)]]
        earlier = jnp.where(step > 0, earlier, n_classes)
        return rans.push_token(coder, tables.classes, earlier, found.astype(jnp.uint32), active)

    return lax.fori_loop(0, runs.length, push, coder)


def pop_headers(
    model: EntropyModel, layout: BlockLayout, coder: rans.Coder, n_lanes: jax.Array
) -> tuple[BlockHeaders, rans.Coder]:
    """Decode heads: the inverse of ``push_headers``."""
    n, n_classes, max_lanes = layout.order.shape[0], model.tables.shape[0], len(coder.states)
    tables, runs = _make_tables(model), share_out(layout.n_blocks, n_lanes, max_lanes)

    def pop(step: jax.Array, state: tuple) -> tuple:
        coder, heads, earlier = state
        index, active = runs.at(step)
        block = layout.order[jnp.minimum(index, n - 1)]
        coder, token = rans.pop_token(coder, tables.classes, earlier, active)
        # A damaged stream may name any token.
        found = jnp.minimum(token.astype(jnp.int32), n_classes - 1)
        coder, mode = rans.pop_token(coder, tables.modes, found, active & layout.starts_superblock[block])
        mode = jnp.minimum(mode.astype(jnp.int32), N_MODES - 1)
        coder, end = rans.pop_token(coder, tables.ends, found, active)
        coder, mean = rans.pop(coder, tables.means, model.tables[found, 0], active)
        target = jnp.where(active, block, n)
        head = jnp.stack([found, mode, end.astype(jnp.int32), mean], axis=1)
        return coder, heads.at[target].set(head, mode="drop"), found

    none = jnp.full(max_lanes, n_classes, jnp.int32)
    state = (coder, *varying_like(coder.states, (jnp.zeros((n, 4), jnp.int32), none)))
    coder, heads, _ = lax.fori_loop(0, runs.length, pop, state)
    return BlockHeaders(*jnp.unstack(heads, axis=1)), coder
