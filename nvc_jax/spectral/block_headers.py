"""Block headers in a stream: class, end of block, and first coefficient of each block.

A class is coded given the class of the block before it in the same lane; everything else is coded given the
class. In a model with contexts of headers, neighbouring blocks exchange the tables of classes and of first
coefficients for other ones (see ``header_contexts``). All headers precede all integers, so a decoder that
needs only first coefficients stops after them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import common_bound, varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import share_out
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import (
    HeaderContexts,
    ReadHeaders,
    blocks_inside,
    find_header_contexts,
)
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
        classes: of ``EntropyModel.class_frequencies``.
        ends_of_block: by the class.
        first: all tables of ``EntropyModel.frequencies``.
    """

    classes: frequency_tables.Tables
    ends_of_block: frequency_tables.Tables
    first: frequency_tables.Tables


def make_header_tables(model: EntropyModel) -> HeaderTables:
    """Prepare the tables of headers, without slots: headers have few tokens."""
    frequencies = (model.class_frequencies, model.end_frequencies, model.frequencies)
    return HeaderTables(*(frequency_tables.make_tables(rows, with_slots=False) for rows in frequencies))


class HeaderRows(NamedTuple):
    """Rows in the tables of the headers that lanes code, int32 (lanes,) each.

    Attributes:
        model: entropy model of the profile.
        before: class of the block before, or the number of classes for none.
        contexts: None for a model without contexts of headers.
    """

    model: EntropyModel
    before: jax.Array
    contexts: HeaderContexts | None

    @property
    def of_class(self) -> jax.Array:
        """Rows of the classes."""
        rows = self.model.class_rows
        if rows is None or self.contexts is None:
            return self.before
        row: jax.Array = rows[self.contexts.of_class, self.before]
        return row

    def of_first(self, block_class: jax.Array) -> jax.Array:
        """Rows of the first coefficients of blocks of these classes."""
        rows = self.model.first_rows
        if rows is None or self.contexts is None:
            row = self.model.tables[block_class, 0]
        else:
            row = rows[self.contexts.of_first, block_class]
        return row


def find_rows(
    model: EntropyModel,
    sides: Any,
    before: jax.Array,
    index: jax.Array,
    step: jax.Array,
    read: ReadHeaders,
) -> HeaderRows:
    """Find what selects the tables of headers; arguments as of ``HeaderRows``, ``find_header_contexts``."""
    if model.class_levels is None:
        return HeaderRows(model, before, None)
    return HeaderRows(model, before, find_header_contexts(model.class_levels, sides, index, step, read))


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
    tables: HeaderTables, coder: rans.Coder, header: BlockHeaders, rows: HeaderRows, active: jax.Array
) -> rans.Coder:
    """Encode the header of one block in each active lane.

    Parts run backwards: rANS decodes in the reverse order of encoding.

    Args:
        tables: of the model.
        coder: the state.
        header: of each lane's block, int32 (lanes,) each.
        rows: of the headers.
        active: bool (lanes,).
    """
    block_class, end, first = header
    coder = rans.push(coder, tables.first, rows.of_first(block_class), first, active)
    coder = rans.push_token(coder, tables.ends_of_block, block_class, end.astype(jnp.uint32), active)
    return rans.push_token(coder, tables.classes, rows.of_class, block_class.astype(jnp.uint32), active)


def pop_header(
    tables: HeaderTables, coder: rans.Coder, rows: HeaderRows, active: jax.Array
) -> tuple[rans.Coder, BlockHeaders]:
    """Decode the header of one block in each active lane; the inverse of ``push_header``."""
    coder, token = rans.pop_token(coder, tables.classes, rows.of_class, active)
    # A damaged stream may hold any token.
    block_class = jnp.minimum(token.astype(jnp.int32), rows.model.tables.shape[0] - 1)
    coder, end = rans.pop_token(coder, tables.ends_of_block, block_class, active)
    coder, first = rans.pop(coder, tables.first, rows.of_first(block_class), active)
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
    sides = blocks_inside(layout.valid_shape)

    def read(place: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = layout.order[jnp.where(is_known, place, 0)]
        return headers.classes[block], headers.first[block]

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        step = runs.length - 1 - backwards
        index, active = runs.at(step)
        header, before = header_at(headers, layout.order, index, step, n_classes)
        rows = find_rows(model, sides, before, jnp.where(active, index, 0), step, read)
        return push_header(tables, coder, header, rows, active)

    return lax.fori_loop(0, common_bound(runs.length), push, coder)


def pop_headers(
    model: EntropyModel, layout: BlockLayout, coder: rans.Coder, n_lanes: jax.Array
) -> tuple[BlockHeaders, rans.Coder]:
    """Decode headers: the inverse of ``push_headers``."""
    n, n_classes, max_lanes = layout.order.shape[0], model.tables.shape[0], len(coder.states)
    tables, runs = make_header_tables(model), share_out(layout.n_blocks, n_lanes, max_lanes)
    sides = blocks_inside(layout.valid_shape)

    def pop(step: jax.Array, carry: tuple) -> tuple:
        coder, headers, before = carry
        index, active = runs.at(step)

        def read(place: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
            read_headers = headers[layout.order[jnp.where(is_known, place, 0)]]
            return read_headers[:, 0], read_headers[:, 2]

        block = layout.order[jnp.minimum(index, n - 1)]
        rows = find_rows(model, sides, before, jnp.where(active, index, 0), step, read)
        coder, header = pop_header(tables, coder, rows, active)
        target = jnp.where(active, block, n)
        headers = headers.at[target].set(jnp.stack(header, axis=1), mode="drop")
        return coder, headers, header.classes

    no_class = jnp.full(max_lanes, n_classes, jnp.int32)
    start = (coder, *varying_like(coder.states, (jnp.zeros((n, 3), jnp.int32), no_class)))
    coder, headers, _ = lax.fori_loop(0, common_bound(runs.length), pop, start)
    return BlockHeaders(*jnp.unstack(headers, axis=1)), coder
