"""Dependent quantisation: two quantisers whose choice follows from the integers that came before.

A model has one quantiser or two. The reconstruction points of the first quantiser are the whole steps. Those
of the second are zero and the odd half steps. The integers before an integer in its block choose its
quantiser: it belongs to the second one if the sum of the integers one, three, five … positions before it is
odd. So the decoder knows the quantiser without being told.

Together the points of both quantisers lie twice as dense as those of each. The encoder looks for a sequence
of integers through them that has a smaller error for the same number of bits (see ``trellis``). This is
dependent, or trellis-coded, quantisation (Marcellin and Fischer, 1990) with the four states of Versatile
Video Coding (2020).

Reconstruction points are integers in half steps, so that both quantisers share one unit.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

STATE_BITS = 2
"""Bits of the *state*: the parities that a decoder must know to begin in the middle of a block."""

_WORD_BITS = 32
"""Parities that one machine word holds in ``select_quantizers``."""
_EVEN_POSITIONS, _ODD_POSITIONS = np.uint32(0x55555555), np.uint32(0xAAAAAAAA)
"""Bits of a word at even and at odd positions."""


def next_quantizer(state: jax.Array) -> jax.Array:
    """Get the quantiser of the next integer, 0 or 1, from the state before it."""
    return state & 1


def next_state(state: jax.Array, integer: jax.Array) -> jax.Array:
    """Get the state after an integer.

    Bit 0 of a state is the quantiser of the next integer. Bit 1 is the quantiser of the integer after that,
    if the next integer is even.
    """
    return (state >> 1 ^ integer & 1) | (state & 1) << 1


def select_quantizers(ordered: jax.Array, n_quantizers: int = 2) -> jax.Array:
    """Find the quantiser of every integer of complete blocks.

    The parities of 32 integers are packed into one word, so that running sums modulo 2 are a few shifts.

    Args:
        ordered: int32 (n, m), integers of n blocks in scan order.
        n_quantizers: 1 or 2, of the model.

    Returns:
        int32 (n, m), 0 or 1.
    """
    if n_quantizers == 1:
        return jnp.zeros_like(ordered)
    n, m = ordered.shape
    bit = jnp.arange(_WORD_BITS, dtype=jnp.uint32)[None, None]
    odd = jnp.pad((ordered & 1).astype(jnp.uint32), ((0, 0), (0, -m % _WORD_BITS))).reshape(n, -1, _WORD_BITS)
    words = jnp.sum(odd << bit, axis=2, dtype=jnp.uint32)

    # Sums, modulo 2, over all words before, of even and of odd positions.
    even, odd = (_parities_before(words & positions) for positions in (_EVEN_POSITIONS, _ODD_POSITIONS))

    # Each bit becomes the sum, modulo 2, of itself and of the bits 2, 4, 6 … before it.
    for distance in (2, 4, 8, 16):
        words = words ^ words << jnp.uint32(distance)
    words = words ^ even * _EVEN_POSITIONS ^ odd * _ODD_POSITIONS

    # Shift by one position: an integer does not count for its own quantiser.
    words = words << jnp.uint32(1) | odd
    return (words[:, :, None] >> bit & 1).reshape(n, -1)[:, :m].astype(jnp.int32)


def _parities_before(words: jax.Array) -> jax.Array:
    """Get the parity of all bits in the words of a row before each: uint32 (n, m), 0 or 1."""
    counts = lax.population_count(words)
    return (jnp.cumsum(counts, axis=1, dtype=jnp.uint32) - counts) & 1


def to_points(integers: jax.Array, quantizers: jax.Array) -> jax.Array:
    """Map integers to the reconstruction points of their quantisers, int32 in half steps."""
    return 2 * integers - jnp.sign(integers) * quantizers


def to_integers(points: jax.Array) -> jax.Array:
    """Map reconstruction points to integers: the inverse of ``to_points``, the same for both quantisers."""
    return (points + jnp.sign(points) * (points & 1)) >> 1
