"""Systematic sampling: a few of many items, evenly spread or drawn in proportion to their sizes.

In the second case the items' sizes are laid end to end, and an item is drawn wherever one of a number of
equally spaced marks falls. With weights in inverse proportion to its size, the drawn items estimate a sum
over all items.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.searching import count_below

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
    order = shuffle(len(sizes))
    sizes, exists = sizes[order], exists[order]
    sizes = jnp.where(exists, sizes, 0)

    mean = jnp.sum(sizes) / jnp.maximum(jnp.sum(exists), 1).astype(jnp.float32)
    shares = jnp.where(exists, sizes + jnp.maximum(_FLOOR * mean, _MIN_FLOOR), 0)
    ends = jnp.cumsum(shares)
    distance = ends[-1] / n_drawn
    marks = (jnp.arange(n_drawn, dtype=jnp.float32) + 0.5) * distance
    drawn = jnp.minimum(count_below(ends, marks), len(sizes) - 1)
    return jnp.asarray(order)[drawn], distance / jnp.maximum(shares[drawn], _MIN_SHARE)
