"""Scan order: the sequence in which the integers of blocks are coded.

Two orders follow each other. Within a block, coefficients follow the model's order, the likeliest to be large
first, up to where the block ends; DC is coded apart. A *partial-block type* lacks some coefficients (see
``block_layout``): its scan moves them behind all others and never codes them, so there are eight scans, one
for each type.

Blocks then follow one another without gaps, and blocks without integers are left out. So all integers of a
stream form one sequence, which the lanes of the entropy coder share in equal runs. A lane that begins
anywhere in the sequence finds its block and its position in it by ``BlockQueue.locate``. It then needs one
lookup for each block: a *key*, in which the block's class, its partial-block type and its number of integers
are packed.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.compaction import compact
from nvc_jax.core.running_sums import running_sum
from nvc_jax.core.searching import count_not_above
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import (
    N_COEFFICIENTS,
    N_PARTIAL_TYPES,
    BlockLayout,
    positions_by_partial_type,
)

END_OF_BLOCK_UNIT = 16
"""Blocks end at multiples of 16 integers: a coarser unit takes fewer bits to signal."""
N_ENDS_OF_BLOCK = N_COEFFICIENTS // END_OF_BLOCK_UNIT + 1
"""Number of possible ends of block: 0, 16, … 512 integers."""

_COUNT_BITS = (N_COEFFICIENTS - 1).bit_length()
"""Bits in a key of the number of integers, 0 to 511: the lowest bits."""
_PARTIAL_TYPE_BITS = (N_PARTIAL_TYPES - 1).bit_length()
"""Bits in a key of the partial-block type: above the count; the class takes all bits above."""


class ScanOrder(NamedTuple):
    """The order in which the integers of each type of partial block are coded, without DC.

    Attributes:
        coefficients: int32 (8, 511), the coefficient at each position; those that a type lacks come last.
        positions: int32 (8, 512), the position of each coefficient; −1 for DC.
        counts: int32 (8,), number of coefficients that a type has, without DC.
    """

    coefficients: jax.Array
    positions: jax.Array
    counts: jax.Array


def make_scan_order(model: EntropyModel, layout: BlockLayout) -> ScanOrder:
    """Make the scan of each partial-block type: the model's order without the coefficients it lacks."""
    return on_cpu(_scan_by_kernel, make_scan_order_reference, layout.valid_shape, model.order)


def _scan_by_kernel(valid_shape: jax.Array, order: jax.Array) -> ScanOrder:
    """Make the scans by a native kernel."""
    sides = (len(order), N_COEFFICIENTS)
    scans = [jax.ShapeDtypeStruct((N_PARTIAL_TYPES, n), jnp.int32) for n in sides]
    counts = jax.ShapeDtypeStruct((N_PARTIAL_TYPES,), jnp.int32)
    return ScanOrder(*call("nvc_make_scan", (*scans, counts), valid_shape, order))


def make_scan_order_reference(valid_shape: jax.Array, order: jax.Array) -> ScanOrder:
    """Make the scans from the volume's sides and the model's order: the specification of the kernel."""
    has = positions_by_partial_type(valid_shape)[:, order]
    coefficients = order[jax.vmap(compact)(has)[0]]
    types = jnp.arange(N_PARTIAL_TYPES)[:, None]
    positions = jnp.full((N_PARTIAL_TYPES, N_COEFFICIENTS), -1, jnp.int32)
    positions = positions.at[types, coefficients].set(
        jnp.arange(coefficients.shape[1], dtype=jnp.int32)[None]
    )
    return ScanOrder(coefficients, positions, jnp.sum(has, axis=1, dtype=jnp.int32))


def to_scan_order(scan: ScanOrder, layout: BlockLayout, integers: jax.Array) -> jax.Array:
    """Reorder the integers of blocks, (n, 512), to scan order, int32 (n, 511); DC is left out."""
    block = jnp.arange(len(integers), dtype=jnp.int32)[:, None]
    return integers.reshape(-1)[block * N_COEFFICIENTS + scan.coefficients[layout.partial_type]]


def from_scan_order(
    scan: ScanOrder,
    layout: BlockLayout,
    counts: jax.Array,
    coded: jax.Array,
    place: Callable[[jax.Array], jax.Array] = lambda item: item,
) -> jax.Array:
    """Distribute the sequence of all coded integers to their blocks.

    Args:
        scan: of the model and the volume.
        layout: of the n blocks.
        counts: int32 (n,), integers that are coded of each block.
        coded: int32, integers of all blocks, end to end.
        place: gets the places of integers in ``coded`` where these are not end to end.

    Returns:
        int32 (n, 512), in the order of coefficients; 0 for those that are not coded.
    """
    position = scan.positions[layout.partial_type]
    is_coded = (position >= 0) & (position < counts[:, None])
    item = (jnp.cumsum(counts, dtype=jnp.int32) - counts)[:, None] + position
    return jnp.where(is_coded, coded[place(jnp.where(is_coded, item, 0))], 0)


def find_ends(scan: ScanOrder, layout: BlockLayout, is_coded: jax.Array) -> jax.Array:
    """Find where blocks end: after the last coefficient in scan order that is coded as other than 0.

    Args:
        scan: of the model and the volume.
        layout: of the n blocks.
        is_coded: bool (n, 512), in the order of coefficients; DC does not matter.

    Returns:
        int32 (n,), in units of END_OF_BLOCK_UNIT integers, rounded up.
    """
    return ends_behind(jnp.max(jnp.where(is_coded, scan.positions[layout.partial_type], -1), axis=1))


def ends_behind(last: jax.Array) -> jax.Array:
    """Find where blocks end, as ``find_ends``, by the positions of their last integers; −1 if none."""
    return (last + END_OF_BLOCK_UNIT) // END_OF_BLOCK_UNIT


def count_coded(scan: ScanOrder, layout: BlockLayout, ends_of_block: jax.Array) -> jax.Array:
    """Count the integers that are coded of each block, DC left out.

    Args:
        scan: of the model and the volume.
        layout: of the n blocks.
        ends_of_block: int32 (n,), in units of END_OF_BLOCK_UNIT integers.

    Returns:
        int32 (n,); 0 for blocks outside the volume.
    """
    counts = jnp.minimum(ends_of_block * END_OF_BLOCK_UNIT, scan.counts[layout.partial_type])
    return jnp.where(layout.inside, counts, 0)


class ScannedBlocks(NamedTuple):
    """Integers of n blocks in scan order, and the number of them that is coded.

    Attributes:
        ordered: int32 (n, 511), from ``to_scan_order``.
        ends_of_block: int32 (n,), from ``find_ends``.
        counts: int32 (n,), from ``count_coded``.
    """

    ordered: jax.Array
    ends_of_block: jax.Array
    counts: jax.Array


def scan_blocks(scan: ScanOrder, layout: BlockLayout, integers: jax.Array) -> ScannedBlocks:
    """Bring the integers of blocks into scan order and find where each block ends.

    Args:
        scan: of the model and the volume.
        layout: of the n blocks.
        integers: int32 (n, 512), integers or their reconstruction points, which are 0 for the same ones.
    """
    ordered = to_scan_order(scan, layout, integers)
    ends_of_block = find_ends(scan, layout, integers != 0)
    return ScannedBlocks(ordered, ends_of_block, count_coded(scan, layout, ends_of_block))


class BlockQueue(NamedTuple):
    """Blocks in the order in which their integers are coded; blocks without integers come last.

    Attributes:
        keys: int32 (n,), class, partial-block type and number of integers, packed.
        offsets: int32 (n,), index of each block's first integer in the flattened result of ``to_scan_order``.
        cumulative_counts: int32 (n,), number of integers of all blocks up to and including this one.
    """

    keys: jax.Array
    offsets: jax.Array
    cumulative_counts: jax.Array

    @property
    def total(self) -> jax.Array:
        """Number of integers of all blocks, int32."""
        return self.cumulative_counts[-1]

    def locate(self, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Find integers by their index in the sequence: block in the queue, and position in the block."""
        last = self.cumulative_counts.shape[0] - 1
        block = jnp.minimum(count_not_above(self.cumulative_counts, index), last)
        first = jnp.where(block > 0, self.cumulative_counts[jnp.maximum(block - 1, 0)], 0)
        return block, index - first


def make_block_queue(layout: BlockLayout, classes: jax.Array, counts: jax.Array) -> BlockQueue:
    """Queue blocks with these classes and numbers of coded integers, int32 (n,) both."""
    order, _ = compact(counts > 0)
    keys = (classes << _PARTIAL_TYPE_BITS | layout.partial_type) << _COUNT_BITS | counts
    return BlockQueue(keys[order], order * (N_COEFFICIENTS - 1), running_sum(counts[order]))


def key_count(key: jax.Array) -> jax.Array:
    """Get the number of integers of blocks from their keys."""
    return key & ((1 << _COUNT_BITS) - 1)


def key_class(key: jax.Array) -> jax.Array:
    """Get the classes of blocks from their keys."""
    return key >> _COUNT_BITS + _PARTIAL_TYPE_BITS


def key_partial_type(key: jax.Array) -> jax.Array:
    """Get the partial-block types of blocks from their keys."""
    return key >> _COUNT_BITS & (N_PARTIAL_TYPES - 1)


def key_table(model: EntropyModel, scan: ScanOrder, key: jax.Array, position: jax.Array) -> jax.Array:
    """Look up the frequency table, int32, at positions of blocks with these keys."""
    return table_at(model, scan, key_class(key), key_partial_type(key), position)


def table_at(
    model: EntropyModel, scan: ScanOrder, classes: jax.Array, partial_type: jax.Array, position: jax.Array
) -> jax.Array:
    """Look up the frequency table, int32, at scan positions of blocks; all arguments int32, broadcast."""
    return model.tables[classes, scan.coefficients[partial_type, position]]
