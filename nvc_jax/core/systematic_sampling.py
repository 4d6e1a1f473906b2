"""Systematic sampling: a few of many items, evenly spread or drawn in proportion to their sizes.

In the second case the items' sizes are laid end to end, and an item is drawn wherever one of a number of
equally spaced marks falls. With weights in inverse proportion to its size, the drawn items estimate a sum
over all items.
"""

import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.group_kernels import (
    GROUP_LANES,
    has_group_kernels,
    load_where,
    run_groups,
    store_where,
    wait_for_group,
)
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.running_sums import LONGEST_OF_KERNEL, count_tiles, tile_indices
from nvc_jax.core.searching import count_below, count_below_each

_FLOOR = 0.3
"""Size, as a share of the mean size, that is added to all: sizes are estimates that may be too small."""
_MIN_FLOOR = 1e-6
"""Smallest size that is added, for items that all have size 0: they are then drawn alike."""
_MIN_SHARE = 1e-9
"""Smallest divisor of a weight, for draws among no items."""
FLOORS = np.array([_FLOOR, _MIN_FLOOR, _MIN_SHARE], np.float32)
"""The three numbers above, as kernels take them."""
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_SEED = 0
"""Seed of the order of items: always the same, so that encoding is reproducible."""


@functools.lru_cache(maxsize=16)
def scatter(size: int, n: int) -> np.ndarray:
    """Choose ``n`` of ``size`` places, spread evenly but not periodically, int64; all if there are fewer.

    The array is not to be written to.

    Places at equal distances may all lie in one column of a volume whose rows have a length in common with
    the distance. Multiples of the golden ratio, modulo 1, do not.
    """
    places = (np.arange(n) * _GOLDEN_RATIO % 1 * size).astype(np.int64) if size > n else np.arange(size)
    places.flags.writeable = False
    return places


def scattered_order(n: int) -> list[int]:
    """Order n places so that those up to any place of the order are spread evenly but not periodically."""
    return [int(place) for place in np.argsort(np.arange(n) * _GOLDEN_RATIO % 1, kind="stable")]


@functools.lru_cache(maxsize=64)
def shuffle(n: int) -> np.ndarray:
    """Shuffle the indices of n items, int32 (n,), always alike. The array is not to be written to."""
    order = np.random.default_rng(_SEED).permutation(n).astype(np.int32)
    order.flags.writeable = False
    return order


def draw_systematic(sizes: jax.Array, exists: jax.Array, n_drawn: int) -> tuple[jax.Array, jax.Array]:
    """Draw items at equal distances along the running sum of their sizes, in shuffled order.

    Args:
        sizes: float32 (n,), at least 0: each item's likely part in a sum over all.
        exists: bool (n,), whether the item may be drawn.
        n_drawn: number of draws; static. A large item may be drawn several times.

    Returns:
        int32 (n_drawn,), indices of the items drawn; and float32 (n_drawn,), their weights: the sum of a
        quantity over all items is about the weighted sum over those drawn.
    """
    # Shuffled, because items at equal distances of a regular grid may all be in one column.
    order = jnp.asarray(shuffle(len(sizes)))
    reference, kernel = (partial(form, n_drawn=n_drawn) for form in (draw_reference, draw_by_kernel))
    if not has_group_kernels() or len(sizes) > LONGEST_OF_KERNEL:
        return reference(order, sizes, exists)
    shape = (n_drawn,)
    results = (jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.float32))
    drawn, weights = choose_form(Forms(reference, reference, kernel), results, order, sizes, exists)
    return drawn, weights


def draw_reference(
    order: jax.Array, sizes: jax.Array, exists: jax.Array, *, n_drawn: int
) -> tuple[jax.Array, jax.Array]:
    """Draw items in some order in ``jax.numpy``: the specification of the kernel; see ``draw_systematic``."""
    shares, ends, marks = _lay_out(order, sizes, exists, n_drawn)
    drawn = jnp.minimum(count_below_each(ends, marks), len(sizes) - 1)
    return order[drawn], ends[-1] / n_drawn / jnp.maximum(shares[drawn], _MIN_SHARE)


class LaidOut(NamedTuple):
    """Items laid end to end in an order, and marks at equal distances.

    Attributes:
        shares: float32 (n,), of the items: their sizes and a floor.
        ends: float32 (n,), of the items.
        marks: float32 (n_drawn,).
    """

    shares: jax.Array
    ends: jax.Array
    marks: jax.Array


def _lay_out(order: jax.Array, sizes: jax.Array, exists: jax.Array, n_drawn: int) -> LaidOut:
    """Lay items out in an order."""
    sizes, exists = sizes[order], exists[order]
    sizes = jnp.where(exists, sizes, 0)
    mean = jnp.sum(sizes) / jnp.maximum(jnp.sum(exists), 1).astype(jnp.float32)
    shares = jnp.where(exists, sizes + jnp.maximum(_FLOOR * mean, _MIN_FLOOR), 0)
    ends = jnp.cumsum(shares)
    marks = (jnp.arange(n_drawn, dtype=jnp.float32) + 0.5) * (ends[-1] / n_drawn)
    return LaidOut(shares, ends, marks)


def draw_by_kernel(
    order: jax.Array, sizes: jax.Array, exists: jax.Array, *, n_drawn: int, interpret: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Draw items by a kernel of GPUs: it lays them out tile by tile, once their mean is known."""
    results = [
        jax.ShapeDtypeStruct((n_drawn,), jnp.int32),
        *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((n_drawn,), sizes.shape, sizes.shape)),
    ]
    kernel = partial(_draw_items, waits=not interpret)
    drawn, weights, *_ = run_groups(kernel, 1, results, order, sizes, exists, interpret=interpret)
    return drawn, weights


def _draw_items(
    order: Any, sizes: Any, exists: Any, drawn: Any, weights: Any, shares: Any, ends: Any, *, waits: bool
) -> None:
    """Draw items; ``shares`` and ``ends`` are for the search alone."""
    n, n_drawn = order.shape[0], drawn.shape[0]

    def load(tile: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        index = tile_indices(tile)
        item = load_where(order, (index,), index < n)
        is_there = load_where(exists, (item,), index < n)
        return index, is_there, load_where(sizes, (item,), is_there)

    def add(tile: jax.Array, before: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        _, is_there, of_tile = load(tile)
        return before[0] + jnp.sum(of_tile), before[1] + jnp.sum(is_there, dtype=jnp.int32)

    total, n_there = lax.fori_loop(0, count_tiles(n), add, (jnp.float32(0), jnp.int32(0)))
    floor = jnp.maximum(_FLOOR * (total / jnp.maximum(n_there, 1).astype(jnp.float32)), _MIN_FLOOR)

    def place(tile: jax.Array, before: jax.Array) -> jax.Array:
        index, is_there, of_tile = load(tile)
        of_tile = jnp.where(is_there, of_tile + floor, 0)
        store_where(shares, (index,), of_tile, index < n)
        store_where(ends, (index,), before + jnp.cumsum(of_tile), index < n)
        return before + jnp.sum(of_tile)

    distance = lax.fori_loop(0, count_tiles(n), place, jnp.float32(0)) / n_drawn
    if waits:
        wait_for_group()  # A lane reads what others have written.

    def mark(group: jax.Array, _: None) -> None:
        index = group * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
        is_mark = index < n_drawn
        found = count_below(ends, (index.astype(jnp.float32) + 0.5) * distance)
        found = jnp.minimum(found, n - 1)
        share = load_where(shares, (found,), is_mark)
        store_where(drawn, (index,), load_where(order, (found,), is_mark), is_mark)
        store_where(weights, (index,), distance / jnp.maximum(share, _MIN_SHARE), is_mark)

    lax.fori_loop(0, -(-n_drawn // GROUP_LANES), mark, None)
