"""Which quantiser an integer belongs to: dependent quantisation.

A model has one quantiser, whose points are the whole steps, or two. The second one's points are zero and the
odd half steps. Which of the two an integer belongs to is told by the integers before it in its block: the
second one where the sum of those one, three, five … places before is odd. Together their points lie twice as
dense as those of each, and the encoder picks a way through them that errs less for the same bits: dependent,
or trellis-coded, quantisation (Marcellin and Fischer, 1990) with the states of Versatile Video Coding (2020).
"""

import jax
import jax.numpy as jnp

STATE_BITS = 2
"""Bits of what a decoder must know that begins in the middle of a block: the *state*."""


def quantizer_of(state: jax.Array) -> jax.Array:
    """Which quantiser the next integer belongs to, 0 or 1, by the state before it."""
    return state & 1


def advance(state: jax.Array, integer: jax.Array) -> jax.Array:
    """The state after an integer: which quantiser comes next, and which after it if that one is even."""
    return (state >> 1 ^ integer & 1) | (state & 1) << 1


def quantizers_of(ordered: jax.Array, n_quantizers: int = 2) -> jax.Array:
    """Which quantiser each integer of blocks belongs to.

    Args:
        ordered: int32 (n, m), blocks' integers in the order in which they are coded.
        n_quantizers: of the model.

    Returns:
        int32 (n, m), 0 or 1.
    """
    if n_quantizers == 1:
        return jnp.zeros_like(ordered)
    n, m = ordered.shape
    bit = jnp.arange(32, dtype=jnp.uint32)[None, None]
    odd = jnp.pad((ordered & 1).astype(jnp.uint32), ((0, 0), (0, -m % 32))).reshape(n, -1, 32)
    words = jnp.sum(odd << bit, axis=2, dtype=jnp.uint32)
    # Each bit becomes the sum, modulo 2, of itself and those 2, 4, 6 … before: in its word, then in all.
    for distance in (2, 4, 8, 16):
        words = words ^ words << jnp.uint32(distance)
    last = jnp.stack([words >> jnp.uint32(30) & 1, words >> jnp.uint32(31)])
    before = (jnp.cumsum(last, axis=2, dtype=jnp.uint32) - last) & 1
    words = words ^ (before[0] * jnp.uint32(0x55555555)) ^ (before[1] * jnp.uint32(0xAAAAAAAA))
    carried = jnp.pad(words >> jnp.uint32(31), ((0, 0), (1, 0)))[:, :-1]
    words = words << jnp.uint32(1) | carried
    return (words[:, :, None] >> bit & 1).reshape(n, -1)[:, :m].astype(jnp.int32)


def to_half_steps(integers: jax.Array, quantizers: jax.Array) -> jax.Array:
    """The points that integers of quantisers stand for, int32 in half steps."""
    return 2 * integers - jnp.sign(integers) * quantizers


def from_half_steps(points: jax.Array) -> jax.Array:
    """The integers of points: the inverse of ``to_half_steps``, whatever the quantisers."""
    return (points + jnp.sign(points) * (points & 1)) >> 1
