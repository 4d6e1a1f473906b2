"""Kernel of GPUs that chooses the classes of blocks; ``class_choice`` has its specification.

A class depends on the costs of five blocks in sequence. A program takes a few blocks more than it decides
about, so that costs in all classes stay in registers. Given the class, it also finds up to where a block may
have integers, while its coefficients are still in the cache.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where, run_tiles, store_where, this_tile, tile_indices
from nvc_jax.spectral.group_block_ends import EndTables, count_likely
from nvc_jax.spectral.group_class_costs import TILE_BLOCKS, Rule, costs_of_tile, divide_weights
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients

_REACH = 2
"""Blocks before and after a block on which its class depends."""
_BLOCKS = TILE_BLOCKS - 2 * _REACH
"""Blocks about which a program decides: an even number."""
_WARPS = 8
_NEVER = 1e30
"""Bits of a class that does not exist."""


class CostTables(NamedTuple):
    """Costs of ``class_decision.DecisionCosts``.

    Attributes:
        weights: int32 (1024, K).
        zero_cost: int32 (K,).
        signalling_cost: int32 (K,).
    """

    weights: Any
    zero_cost: Any
    signalling_cost: Any


class Signalling(NamedTuple):
    """Bits of signalling classes.

    Attributes:
        class_bits: float32 (K,), of a class.
        given_before: float32 (K + 1, K), of a class given the class before; K stands for no class.
        of_after: float32 (K + 1, K), of the class after given the class, by the class after.
    """

    class_bits: Any
    given_before: Any
    of_after: Any


class _Sequence(NamedTuple):
    """Sequence of blocks.

    Attributes:
        order: int32 (n,), the blocks.
        n_coded: int32 (1,), number of those that are coded.
    """

    order: Any
    n_coded: Any


def choose_classes(
    rule: Rule,
    values: FloatCoefficients | SplitCoefficients,
    costs: CostTables,
    signalling: Signalling,
    order: jax.Array,
    n_blocks: jax.Array,
    units: int,
    ends: EndTables | None = None,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes of blocks.

    Args:
        rule: of costs; static.
        values: of all blocks, in steps.
        costs: of the model.
        signalling: of the model.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, number of blocks that are coded.
        units: of a bit in costs; static.
        ends: of blocks; None if integers are not to be counted.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        int32 (n,) each: classes, the costs of blocks in them, and numbers of integers from
        ``group_block_ends.count_likely``, which are 0 without ``ends``.
    """
    costs = costs._replace(weights=divide_weights(costs.weights))
    sequence = _Sequence(order, jnp.reshape(n_blocks, 1))
    classes, of_class, counts = run_tiles(
        partial(_choose, rule, units),
        (-(-len(order) // _BLOCKS),),
        [jax.ShapeDtypeStruct(order.shape, jnp.int32)] * 3,
        *(values, costs, signalling, sequence, ends),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return classes, of_class, counts


def _choose(
    rule: Rule,
    units: int,
    values: FloatCoefficients | SplitCoefficients,
    costs: CostTables,
    signalling: Signalling,
    sequence: _Sequence,
    ends: EndTables | None,
    classes: Any,
    of_class: Any,
    counts: Any,
) -> None:
    """Choose the classes of some blocks."""
    (tile,), place = this_tile(1), tile_indices(0, TILE_BLOCKS)
    position, n_classes = tile * _BLOCKS - _REACH + place, signalling.class_bits.shape[0]
    exists = (position >= 0) & (position < sequence.order.shape[0])
    block = jnp.where(exists, load_where(sequence.order, (position,), exists), -1)
    of_each = costs_of_tile(rule, values, *costs, block)
    bits, class_index = of_each.astype(jnp.float32) / units, tile_indices(0, of_each.shape[1])
    column = jnp.broadcast_to(class_index[None], of_each.shape)

    def find_cheapest(bits: jax.Array) -> jax.Array:
        bits = jnp.where(column < n_classes, bits, _NEVER)
        is_least = bits == jnp.min(bits, axis=1)[:, None]
        return jnp.min(jnp.where(is_least, column, n_classes - 1), axis=1)

    def bits_by(memory: Any, of_neighbour: jax.Array) -> jax.Array:
        row = jnp.broadcast_to(of_neighbour[:, None], column.shape)
        return load_where(memory, (row, column), column < n_classes)

    def take_from(numbers: jax.Array, distance: int) -> jax.Array:
        """Take the number of the block at a distance; 0 at the ends of the tile."""
        is_there = place[:, None] + distance == place[None]
        return jnp.sum(jnp.where(is_there, numbers[None], 0), axis=1, dtype=jnp.int32)

    of_classes = load_where(signalling.class_bits, (class_index,), class_index < n_classes)
    chosen = find_cheapest(bits + of_classes[None])
    is_coded = (position >= 0) & (position < sequence.n_coded[0])
    for parity in (0, 1):
        neighbours = jnp.where(is_coded, chosen, n_classes)
        total = bits + bits_by(signalling.given_before, take_from(neighbours, -1))
        total = total + bits_by(signalling.of_after, take_from(neighbours, 1))
        chosen = jnp.where(position & 1 == parity, find_cheapest(total), chosen)

    is_stored = exists & (place >= _REACH) & (place < TILE_BLOCKS - _REACH)
    store_where(classes, (block,), chosen, is_stored)
    of_chosen = jnp.sum(jnp.where(column == chosen[:, None], of_each, 0), axis=1, dtype=jnp.int32)
    store_where(of_class, (block,), of_chosen, is_stored)
    likely = jnp.zeros_like(block)
    if ends is not None:
        likely = count_likely(ends, values, rule.single_steps, block, chosen, is_stored)
    store_where(counts, (block,), likely, is_stored)
