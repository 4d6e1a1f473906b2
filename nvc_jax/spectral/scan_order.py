"""The order in which the integers of blocks are coded: their scan, and the blocks one after another.

Within a block integers follow the model's order, the likeliest to be large first, up to where the block ends;
the mean is apart. What a short block does not have is left out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_dct import N_COEFFICIENTS
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.partial_blocks import frequencies_by_partial_type

END_OF_BLOCK_UNIT = 16
"""Blocks end after a multiple of so many integers: coarser ends are cheaper to name."""
N_ENDS_OF_BLOCK = N_COEFFICIENTS // END_OF_BLOCK_UNIT + 1
"""Ends that a block may have."""


class ScanOrder(NamedTuple):
    """The order in which the integers of each kind of block are coded, the mean apart.

    Attributes:
        latents: int32 (8, 511), the latent at each place; what a kind does not have comes last.
        places: int32 (8, 512), the place of each latent; the mean's is −1.
        counts: int32 (8,), how many there are.
    """

    latents: jax.Array
    places: jax.Array
    counts: jax.Array


def make_scan_order(model: EntropyModel, layout: BlockLayout) -> ScanOrder:
    """Leave out of the model's order what short blocks do not have."""
    has = frequencies_by_partial_type(layout.valid_shape)[:, model.order]
    latents = model.order[jnp.argsort(~has, axis=1, stable=True)]
    kinds = jnp.arange(8)[:, None]
    places = jnp.full((8, model.tables.shape[1]), -1, jnp.int32)
    places = places.at[kinds, latents].set(jnp.arange(latents.shape[1], dtype=jnp.int32)[None])
    return ScanOrder(latents, places, jnp.sum(has, axis=1, dtype=jnp.int32))


def in_order(places: ScanOrder, layout: BlockLayout, integers: jax.Array) -> jax.Array:
    """Blocks' integers in the order in which they are coded, int32 (n, 511), from (n, 512)."""
    block = jnp.arange(len(integers), dtype=jnp.int32)[:, None]
    return integers.reshape(-1)[block * N_COEFFICIENTS + places.latents[layout.partial_type]]


def find_end_of_block(ordered: jax.Array) -> jax.Array:
    """Where the last integer of ``in_order`` lies that is not zero, in units rounded up; int32 (n,)."""
    place = jnp.where(ordered != 0, jnp.arange(ordered.shape[1], dtype=jnp.int32)[None], -1)
    return (jnp.max(place, axis=1) + END_OF_BLOCK_UNIT) // END_OF_BLOCK_UNIT


def n_coded(places: ScanOrder, layout: BlockLayout, ends: jax.Array) -> jax.Array:
    """How many integers but the mean are coded of each block, int32 (n,): none where there is no block."""
    return jnp.where(
        layout.inside, jnp.minimum(ends * END_OF_BLOCK_UNIT, places.counts[layout.partial_type]), 0
    )


def from_order(places: ScanOrder, layout: BlockLayout, counts: jax.Array, coded: jax.Array) -> jax.Array:
    """Blocks' integers, int32 (n, 512), from those coded, end to end in the blocks' order; 0 elsewhere."""
    place = places.places[layout.partial_type]
    is_coded = (place >= 0) & (place < counts[:, None])
    item = (jnp.cumsum(counts, dtype=jnp.int32) - counts)[:, None] + place
    return jnp.where(is_coded, coded[jnp.where(is_coded, item, 0)], 0)


class Queue(NamedTuple):
    """Blocks in the order in which their integers are coded, without those that have none.

    Attributes:
        keys: int32 (n,), class, kind and how many integers, packed: what is looked up at every step.
        offsets: int32 (n,), where each block's integers lie in those of ``in_order``.
        ends: int32 (n,), integers of all blocks up to this one.
    """

    keys: jax.Array
    offsets: jax.Array
    ends: jax.Array

    @property
    def total(self) -> jax.Array:
        """Integers of all blocks, int32."""
        return self.ends[-1]

    def locate(self, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Block in the queue, and place in it, of integers by their index among all."""
        last = self.ends.shape[0] - 1
        block = jnp.minimum(jnp.searchsorted(self.ends, index, side="right").astype(jnp.int32), last)
        return block, index - jnp.where(block > 0, self.ends[jnp.maximum(block - 1, 0)], 0)


def make_queue(layout: BlockLayout, classes: jax.Array, counts: jax.Array) -> Queue:
    """The queue of blocks of such classes, of which so many integers are coded; int32 (n,) both."""
    order = jnp.argsort(counts == 0, stable=True).astype(jnp.int32)
    keys = (classes << 3 | layout.partial_type) << 9 | counts
    return Queue(keys[order], order * (N_COEFFICIENTS - 1), jnp.cumsum(counts[order], dtype=jnp.int32))


def table_at(model: EntropyModel, places: ScanOrder, key: jax.Array, place: jax.Array) -> jax.Array:
    """The frequency table at a place of blocks with such keys, int32."""
    latent = places.latents.reshape(-1)[(key >> 9 & 7) * (N_COEFFICIENTS - 1) + place]
    return model.tables.reshape(-1)[(key >> 12) * N_COEFFICIENTS + latent]


def count_of(key: jax.Array) -> jax.Array:
    """How many integers blocks with such keys have."""
    return key & 511
