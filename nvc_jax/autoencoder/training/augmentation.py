"""Random symmetries of training blocks."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

_AXIS_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def random_symmetry(blocks: jax.Array, *, key: jax.Array) -> jax.Array:
    """Apply one random symmetry of the cube, out of 48, to all blocks of a batch.

    Args:
        blocks: (n, side, side, side).
        key: randomness of the symmetry.

    Returns:
        The mirrored and transposed blocks, of the same shape.
    """
    order_key, flip_key = jax.random.split(key)
    branches = [
        functools.partial(jnp.transpose, axes=(0, *(axis + 1 for axis in order))) for order in _AXIS_ORDERS
    ]
    blocks = lax.switch(jax.random.randint(order_key, (), 0, len(_AXIS_ORDERS)), branches, blocks)
    for axis, flip in enumerate(jax.random.bernoulli(flip_key, shape=(3,)), start=1):
        blocks = jnp.where(flip, jnp.flip(blocks, axis), blocks)
    return blocks
