"""Kernel of GPUs that chooses the classes of blocks; ``class_choice`` has its specification.

A class depends on those of five blocks in sequence, before any of these has changed. So a program finds all
that its blocks depend on by itself, and costs are read from the memory once.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where, run_tiles, store_where, this_tile, tile_indices, tile_side

_PAIRS = 32
"""Pairs of blocks, the first one at an even position, of a program."""
_WARPS = 4
_NEVER = 1e30
"""Bits of a class that does not exist."""


class _Blocks(NamedTuple):
    """All that classes depend on, in memory.

    Attributes:
        costs: (n, K), of blocks in each class.
        class_bits: float32 (K,), of signalling a class.
        given_before: float32 (K + 1, K), the same given the class before.
        of_after: float32 (K + 1, K), of signalling the class after, given the class.
        order: int32 (n,), blocks in sequence.
        n_blocks: int32 (1,), number of those that are coded.
    """

    costs: Any
    class_bits: Any
    given_before: Any
    of_after: Any
    order: Any
    n_blocks: Any


def choose_classes(
    costs: jax.Array,
    class_bits: jax.Array,
    given_before: jax.Array,
    of_after: jax.Array,
    order: jax.Array,
    n_blocks: jax.Array,
    *,
    units: int,
    interpret: bool = False,
) -> jax.Array:
    """Choose classes; arguments and result are those of ``class_choice.choose_reference``."""
    blocks = _Blocks(costs, class_bits, given_before, of_after, order, jnp.reshape(n_blocks, 1))
    classes: jax.Array = run_tiles(
        partial(_choose_pairs, units),
        (-(-len(order) // (2 * _PAIRS)),),
        jax.ShapeDtypeStruct(order.shape, jnp.int32),
        blocks,
        n_warps=_WARPS,
        interpret=interpret,
    )
    return classes


def _choose_pairs(units: int, blocks: _Blocks, classes: Any) -> None:
    """Choose the classes of some pairs of blocks."""
    n, n_classes = blocks.costs.shape
    (tile,) = this_tile(1)
    even = 2 * tile_indices(tile, _PAIRS)
    class_index = tile_indices(0, tile_side(n_classes, n_classes))
    shape = (_PAIRS, len(class_index))
    column = jnp.broadcast_to(class_index[None], shape)

    def load_rows(memory: Any, row: jax.Array, exists: jax.Array) -> jax.Array:
        mask = jnp.broadcast_to(exists[:, None], shape)
        return load_where(memory, (jnp.broadcast_to(row[:, None], shape), column), mask)

    def load_bits(position: jax.Array) -> jax.Array:
        exists = (position >= 0) & (position < n)
        row = load_where(blocks.order, (position,), exists)
        return load_rows(blocks.costs, row, exists).astype(jnp.float32) / units

    def find_cheapest(bits: jax.Array) -> jax.Array:
        bits = jnp.where(column < n_classes, bits, _NEVER)
        is_least = bits == jnp.min(bits, axis=1)[:, None]
        return jnp.min(jnp.where(is_least, column, n_classes - 1), axis=1)

    def when_coded(position: jax.Array, class_of: jax.Array) -> jax.Array:
        return jnp.where((position >= 0) & (position < blocks.n_blocks[0]), class_of, n_classes)

    def choose_alone(position: jax.Array) -> jax.Array:
        of_classes = load_where(blocks.class_bits, (class_index,), class_index < n_classes)
        return when_coded(position, find_cheapest(load_bits(position) + of_classes[None]))

    def choose_between(position: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
        everywhere = position >= 0
        bits = load_bits(position) + load_rows(blocks.given_before, before, everywhere)
        return find_cheapest(bits + load_rows(blocks.of_after, after, everywhere))

    def store(position: jax.Array, class_of: jax.Array) -> None:
        exists = position < n
        store_where(classes, (load_where(blocks.order, (position,), exists),), class_of, exists)

    own = choose_alone(even + 1)
    first = choose_between(even, choose_alone(even - 1), own)
    following = choose_between(even + 2, own, choose_alone(even + 3))
    second = choose_between(even + 1, when_coded(even, first), when_coded(even + 2, following))
    store(even, first)
    store(even + 1, second)
