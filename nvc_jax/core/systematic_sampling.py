"""Systematic sampling: a few of many, the likelier the larger they are."""

import jax
import jax.numpy as jnp
import numpy as np

_FLOOR = 0.3
"""What the smallest count as, as a share of the mean: sizes are estimates."""


def draw_systematic(sizes: jax.Array, there: jax.Array, n_drawn: int) -> tuple[jax.Array, jax.Array]:
    """Draw from items by their sizes: at equal distances along the running sum of all, shuffled.

    Args:
        sizes: float32 (n,), at least 0: how large each item's part in a sum over all is likely to be.
        there: bool (n,), whether there is the item.
        n_drawn: how many to draw; an item that is large is drawn several times.

    Returns:
        int32 (n_drawn,), the items, and float32 (n_drawn,), weights: how many each stands for.
    """
    # Always in the same way: else what lies at equal distances in a grid may all lie in one column.
    order = np.random.default_rng(0).permutation(len(sizes)).astype(np.int32)
    sizes, there = sizes[order], there[order]
    sizes = jnp.where(there, sizes, 0)
    mean = jnp.sum(sizes) / jnp.maximum(jnp.sum(there), 1).astype(jnp.float32)
    # Where all are 0, they are alike.
    shares = jnp.where(there, sizes + jnp.maximum(_FLOOR * mean, 1e-6), 0)
    reached = jnp.cumsum(shares)
    distance = reached[-1] / n_drawn
    marks = (jnp.arange(n_drawn, dtype=jnp.float32) + 0.5) * distance
    drawn = jnp.minimum(jnp.searchsorted(reached, marks), len(sizes) - 1).astype(jnp.int32)
    return jnp.asarray(order)[drawn], distance / jnp.maximum(shares[drawn], 1e-9)
