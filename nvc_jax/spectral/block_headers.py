"""Block headers in a stream: class, end of block, and first coefficient of each block.

A class is coded given the class of the block before it in the same lane; everything else is coded given the
class. All headers precede all integers, so a decoder that needs only first coefficients stops after them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import common_bound, varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import share_out
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import BlockLayout


class BlockHeaders(NamedTuple):
    """Headers of n blocks: int32 (n,) each; 0 for blocks outside the volume.

    Attributes:
        classes: class of each block.
        ends_of_block: end of each block in units of END_OF_BLOCK_UNIT integers (see ``scan_order``).
        first: first coefficient of each block in steps; of DC the difference from its prediction.
    """

    classes: jax.Array
    ends_of_block: jax.Array
    first: jax.Array


class HeaderTables(NamedTuple):
    """Tables of the parts of a header.

    Attributes:
        classes: by the class before; row K at the start of a lane.
        ends_of_block: by the class.
        first: all tables of ``EntropyModel.frequencies``; the class's row is ``EntropyModel.tables[class,
            0]``.
    """

    classes: frequency_tables.Tables
    ends_of_block: frequency_tables.Tables
    first: frequency_tables.Tables


def make_header_tables(model: EntropyModel) -> HeaderTables:
    """Prepare the tables of headers, without slots: headers have few tokens."""
    frequencies = (model.class_frequencies, model.end_frequencies, model.frequencies)
    return HeaderTables(*(frequency_tables.make_tables(rows, with_slots=False) for rows in frequencies))


def header_at(
    headers: BlockHeaders, order: jax.Array, index: jax.Array, step: jax.Array, n_classes: int
) -> tuple[BlockHeaders, jax.Array]:
    """Look up the header that each lane encodes at a step, and the class before it in the lane.

    Args:
        headers: of all blocks.
        order: int32 (n,), of ``BlockLayout``.
        index: int32 (lanes,), in the order; of the nearest block outside of it.
        step: int32, of the lanes.
        n_classes: stands for no class, before the first block of a lane.
    """
    index = jnp.clip(index, 0, order.shape[0] - 1)
    block = order[index]
    before = headers.classes[order[jnp.maximum(index - 1, 0)]]
    return BlockHeaders(*(leaf[block] for leaf in headers)), jnp.where(step > 0, before, n_classes)


def push_header(
    model: EntropyModel,
    tables: HeaderTables,
    coder: rans.Coder,
    header: BlockHeaders,
    before: jax.Array,
    active: jax.Array,
) -> rans.Coder:
    """Encode the header of one block in each active lane.

    Parts run backwards: rANS decodes in the reverse order of encoding.

    Args:
        model: entropy model of the profile.
        tables: of the model.
        coder: the state.
        header: of each lane's block, int32 (lanes,) each.
        before: int32 (lanes,), class of the block before, or the number of classes for none.
        active: bool (lanes,).
    """
    block_class, end, first = header
    coder = rans.push(coder, tables.first, model.tables[block_class, 0], first, active)
    coder = rans.push_token(coder, tables.ends_of_block, block_class, end.astype(jnp.uint32), active)
    return rans.push_token(coder, tables.classes, before, block_class.astype(jnp.uint32), active)


def pop_header(
    model: EntropyModel, tables: HeaderTables, coder: rans.Coder, before: jax.Array, active: jax.Array
) -> tuple[rans.Coder, BlockHeaders]:
    """Decode the header of one block in each active lane; the inverse of ``push_header``."""
    coder, token = rans.pop_token(coder, tables.classes, before, active)
    # A damaged stream may hold any token.
    block_class = jnp.minimum(token.astype(jnp.int32), model.tables.shape[0] - 1)
    coder, end = rans.pop_token(coder, tables.ends_of_block, block_class, active)
    coder, first = rans.pop(coder, tables.first, model.tables[block_class, 0], active)
    return coder, BlockHeaders(block_class, end.astype(jnp.int32), first)


def push_headers(
    model: EntropyModel, layout: BlockLayout, headers: BlockHeaders, coder: rans.Coder, n_lanes: jax.Array
) -> rans.Coder:
    """Encode headers, from the last to the first.

    Args:
        model: entropy model of the profile.
        layout: of the n blocks.
        headers: of the blocks.
        coder: state of encoding, after all integers.
        n_lanes: int32, lanes of the stream.

    Returns:
        The state after the headers.
    """
    n_classes = model.tables.shape[0]
    tables, runs = make_header_tables(model), share_out(layout.n_blocks, n_lanes, len(coder.states))

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = runs.length - 1 - backwards
        index, active = runs.at(step)
        header, before = header_at(headers, layout.order, index, step, n_classes)
        return push_header(model, tables, coder, header, before, active)

    return lax.fori_loop(0, common_bound(runs.length), push, coder)


def pop_headers(
    model: EntropyModel, layout: BlockLayout, coder: rans.Coder, n_lanes: jax.Array
) -> tuple[BlockHeaders, rans.Coder]:
    """Decode headers: the inverse of ``push_headers``."""
    n, n_classes, max_lanes = layout.order.shape[0], model.tables.shape[0], len(coder.states)
    tables, runs = make_header_tables(model), share_out(layout.n_blocks, n_lanes, max_lanes)

    def pop(step: jax.Array, carry: tuple) -> tuple:
        coder, headers, before = carry
        index, active = runs.at(step)
        block = layout.order[jnp.minimum(index, n - 1)]
        coder, header = pop_header(model, tables, coder, before, active)
        target = jnp.where(active, block, n)
        headers = headers.at[target].set(jnp.stack(header, axis=1), mode="drop")
        return coder, headers, header.classes

    no_class = jnp.full(max_lanes, n_classes, jnp.int32)
    start = (coder, *varying_like(coder.states, (jnp.zeros((n, 3), jnp.int32), no_class)))
    coder, headers, _ = lax.fori_loop(0, common_bound(runs.length), pop, start)
    return BlockHeaders(*jnp.unstack(headers, axis=1)), coder
