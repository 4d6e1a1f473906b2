"""Intervals: symbols of few kinds, each with probabilities of its own, by rANS in 16-bit precision.

``rans`` looks its frequencies up in tables. Here the caller computes the frequencies of each item, which sum
to 2**16. So an item that is all but certain takes 1/50,000 of a bit. An item that is certain, of one symbol
whose frequency is 2**16, leaves the state as it is and takes nothing.

Items come in *batches* of a fixed length. All frequencies of a batch are known before the first of its items
is decoded. Neighbouring lanes take neighbouring items.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import common_bound
from nvc_jax.entropy.passes import items_at
from nvc_jax.entropy.rans import Coder
from nvc_jax.entropy.word_stack import WORD_BITS, append_words, take_words

PRECISION = 16
"""Bits of the frequencies of an item, which sum to 2**PRECISION."""
WHOLE = 1 << PRECISION
"""Frequency of a symbol that is certain."""
CERTAIN = WHOLE - 1 << PRECISION
"""Interval of a symbol that is certain, as of ``pack_intervals``."""


def pack_intervals(ends: jax.Array, symbols: jax.Array) -> jax.Array:
    """Pack the intervals of symbols for coding.

    Args:
        ends: uint32 (3, n), for each item the ends of the intervals of the symbols 0, 1 and 2. Interval 0
            begins at 0, and interval 3 ends at WHOLE.
        symbols: int32 (n,), 0 to 3, none with an empty interval.

    Returns:
        uint32 (n,): the start in the low 16 bits, the frequency − 1 in the high ones.
    """
    starts, stops = _bounds(ends, symbols)
    return starts | (stops - starts - 1) << jnp.uint32(PRECISION)


def _bounds(ends: jax.Array, symbols: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Start and end of the intervals of symbols, uint32 (n,) each."""
    first, second, third = ends
    starts = jnp.where(symbols > 1, jnp.where(symbols > 2, third, second), first)
    stops = jnp.where(symbols > 1, jnp.where(symbols > 2, jnp.uint32(WHOLE), third), second)
    return jnp.where(symbols > 0, starts, jnp.uint32(0)), jnp.where(symbols > 0, stops, first)


def push_batch(coder: Coder, intervals: jax.Array, count: jax.Array, n_lanes: jax.Array) -> Coder:
    """Encode the first ``count`` items of a batch.

    Args:
        coder: state of encoding, after all later batches.
        intervals: uint32 (n,), from ``pack_intervals``.
        count: int32.
        n_lanes: int32, lanes of the stream, at most those of ``coder``.
    """
    n_steps = -(-count // n_lanes)

    def push(backwards: jax.Array, coder: Coder) -> Coder:
        item, active = items_at(n_steps - 1 - backwards, count, n_lanes, len(coder.states))
        interval = jnp.where(active, intervals.at[item].get(mode="clip"), jnp.uint32(CERTAIN))
        frequency = (interval >> jnp.uint32(PRECISION)) + 1
        overflows = coder.states >> jnp.uint32(WORD_BITS) >= frequency
        words, tops = append_words(coder.words, coder.tops, [overflows], [coder.states])
        states = jnp.where(overflows, coder.states >> jnp.uint32(WORD_BITS), coder.states)
        quotient = states // frequency
        start = interval & jnp.uint32(WHOLE - 1)
        pushed = (quotient << jnp.uint32(PRECISION)) + (states - quotient * frequency) + start
        return Coder(pushed, words, tops)

    return lax.fori_loop(0, common_bound(n_steps), push, coder)


def pop_batch(coder: Coder, ends: jax.Array, count: jax.Array, n_lanes: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode the first ``count`` items of a batch; the inverse of ``push_batch``.

    Args:
        coder: state of decoding.
        ends: uint32 (3, n), as of ``pack_intervals``.
        count: int32.
        n_lanes: int32.

    Returns:
        The state, and the symbols, int32 (n,), 0 for items that are not coded.
    """
    n = ends.shape[1]

    def pop(step: jax.Array, carry: tuple) -> tuple:
        coder, symbols = carry
        item, active = items_at(step, count, n_lanes, len(coder.states))
        ends_of_lanes = jnp.where(active[None], ends.at[:, item].get(mode="clip"), jnp.uint32(WHOLE))
        slot = coder.states & jnp.uint32(WHOLE - 1)
        symbol = jnp.sum(slot[None] >= ends_of_lanes, axis=0, dtype=jnp.int32)
        starts, stops = _bounds(ends_of_lanes, symbol)
        states = (stops - starts) * (coder.states >> jnp.uint32(PRECISION)) + slot - starts

        is_low = active & (states < jnp.uint32(1 << WORD_BITS))
        (words,), tops = take_words(coder.words, coder.tops, [is_low])
        states = jnp.where(is_low, states << jnp.uint32(WORD_BITS) | words, states)
        symbols = symbols.at[jnp.where(active, item, n)].set(symbol, mode="drop")
        return Coder(states, coder.words, tops), symbols

    n_steps = common_bound(-(-count // n_lanes))
    return lax.fori_loop(0, n_steps, pop, (coder, jnp.zeros(n, jnp.int32)))
