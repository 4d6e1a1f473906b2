"""rANS: integers to 16-bit words and back, many at a time, in ``jax.numpy``.

*State.* rANS (Duda, 2013) keeps all that it has coded in one integer, the state s. A table gives each token
an interval of the numbers 0 … 2**12 − 1: ``frequency`` numbers from ``start`` on. Coding the token replaces

    s  by  (s // frequency) · 2**12 + start + s % frequency,

which makes s longer by log2(2**12 / frequency) bits, the ideal length of the token. The decoder finds the
token by its interval, in which s % 2**12 lies, and inverts the step. It gets the last token first, so the
encoder codes the integers of a stream in reverse order.

*Refill.* The state stays in [2**16, 2**32) between steps. Where a step would take it beyond, the encoder
first moves its low 16 bits to the end of a stack of words. Where a step leaves the decoder's state below
2**16, the decoder takes the last word back.

*Step and lanes.* Many lanes run side by side, each with a state of its own, and share one stack (Giesen,
2014). In one step every active lane codes one integer, and the lanes that overflow append their words in the
order of the lanes. The decoder's states tell it which lanes these were, so nothing else is stored.

*Integers.* An integer is a token of its row's table, and extra bits that enter the state unchanged: see
``tokens``. A token of frequency 0 is replaced by an escape, so that rare tokens take nothing from frequent
ones. All arithmetic is on integers: a stream decodes to the same values on every device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy.frequency_tables import (
    FREQUENCY_MASK,
    PRECISION,
    START_SHIFT,
    Tables,
    find_token,
)
from nvc_jax.entropy.tokens import ESCAPE, ESCAPE_BITS, from_token, n_extra_bits, to_token
from nvc_jax.entropy.word_stack import WORD_BITS, append_words, take_words

WORDS_PER_INTEGER = 3
"""Most words that one integer takes, besides the two words of each lane's final state."""
_STATE_BITS = 2 * WORD_BITS
"""Bits of a state."""
_LOWEST = 1 << WORD_BITS
"""Lowest state between steps, and the initial one."""
_MAX_BITS_AT_ONCE = WORD_BITS
"""Most bits that enter a state before it must be brought back into its interval: those of one word."""


class Coder(NamedTuple):
    """State of encoding or decoding.

    Attributes:
        states: uint32 (lanes,), each lane's state.
        words: uint16 (capacity,), the stack of words.
        used: int32, number of words on the stack.
    """

    states: jax.Array
    words: jax.Array
    used: jax.Array


def start_encoding(n_lanes: int, n_words: int) -> Coder:
    """Begin a stream of at most ``n_words`` words: WORDS_PER_INTEGER for each integer and 2 for each lane."""
    states = jnp.full(n_lanes, _LOWEST, jnp.uint32)
    return Coder(states, jnp.zeros(n_words, jnp.uint16), jnp.int32(0))


def finish_encoding(coder: Coder, n_lanes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Append the final states to the words.

    Args:
        coder: the state after the last step.
        n_lanes: int32, number of lanes that were ever active, which are the first. Only their states are
            stored, two words each.

    Returns:
        The stream, uint16 (capacity,), and int32, the number of its words in use.
    """
    halves = jnp.stack([coder.states, coder.states >> jnp.uint32(WORD_BITS)], axis=1).astype(jnp.uint16)
    words = lax.dynamic_update_slice(coder.words, halves.reshape(-1), (coder.used,))
    return words, coder.used + 2 * n_lanes


def start_decoding(words: jax.Array, used: jax.Array, n_lanes: jax.Array, max_lanes: int) -> Coder:
    """Begin to decode a stream in ``max_lanes`` lanes, of which the first ``n_lanes`` are active."""
    used = used - 2 * n_lanes
    index = used + jnp.arange(2 * max_lanes).reshape(max_lanes, 2)
    halves = words.at[index].get(mode="clip").astype(jnp.uint32)
    return Coder(halves[:, 0] | halves[:, 1] << jnp.uint32(WORD_BITS), words, used)


def narrow(coder: Coder, n_lanes: int) -> Coder:
    """Keep only the first ``n_lanes`` lanes."""
    return coder._replace(states=coder.states[:n_lanes])


def widen(coder: Coder, n_lanes: int) -> Coder:
    """Add lanes that were never active, up to ``n_lanes`` in all."""
    idle = jnp.full(n_lanes - len(coder.states), _LOWEST, jnp.uint32)
    return coder._replace(states=jnp.concatenate([coder.states, idle]))


def push(coder: Coder, tables: Tables, row: jax.Array, value: jax.Array, active: jax.Array) -> Coder:
    """Code one integer in each active lane.

    Args:
        coder: the state.
        tables: the frequency tables.
        row: int32 (lanes,), each lane's row of the tables.
        value: int32 (lanes,), |value| ≤ MAX_MAGNITUDE.
        active: bool (lanes,).
    """
    token, extra, n_bits = to_token(value)
    is_missing = tables.tokens[row, token] & FREQUENCY_MASK == 0
    token = jnp.where(is_missing, ESCAPE, token).astype(jnp.uint32)
    extra = jnp.where(is_missing, (value + (1 << ESCAPE_BITS - 1)).astype(jnp.uint32), extra)
    n_bits = jnp.where(active, jnp.where(is_missing, ESCAPE_BITS, n_bits), 0).astype(jnp.uint32)

    # A state takes up to 16 bits at once. The high bits enter first, for the few integers that have more.
    has_high = n_bits > _MAX_BITS_AT_ONCE
    coder = lax.cond(jnp.any(has_high), _push_high, lambda c, *_: c, coder, extra, n_bits, has_high)
    states, overflow = _push_bits(coder.states, extra, jnp.minimum(n_bits, _MAX_BITS_AT_ONCE))
    return _push_token(coder._replace(states=states), tables, row, token, active, [overflow])


def pop(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one integer in each active lane; the inverse of ``push``.

    Returns:
        The state, and int32 (lanes,), 0 in idle lanes.
    """
    states, token = _pop_token(coder.states, tables, row, active)
    n_bits = jnp.where(active, n_extra_bits(token), 0)
    width = jnp.minimum(n_bits, _MAX_BITS_AT_ONCE)

    # A word enters at the low end of a state. So its value does not matter for the question whether the state
    # is too low again once the extra bits are removed, and the words of both refills are taken together.
    is_low = active & (states < _LOWEST)
    is_low_after = (width > 0) & (jnp.where(is_low, states, states >> jnp.uint32(WORD_BITS)) >> width == 0)
    (second, first), used = take_words(coder.words, coder.used, [is_low_after, is_low])
    states = jnp.where(is_low, states << jnp.uint32(WORD_BITS) | first, states)
    bits, states = states & ((jnp.uint32(1) << width) - 1), states >> width
    states = jnp.where(is_low_after, states << jnp.uint32(WORD_BITS) | second, states)

    coder = Coder(states, coder.words, used)
    has_high = n_bits > _MAX_BITS_AT_ONCE
    coder, high = lax.cond(
        jnp.any(has_high), _pop_high, lambda c, n, _: (c, jnp.zeros_like(n)), coder, n_bits, has_high
    )
    value = from_token(token, bits | high << jnp.uint32(_MAX_BITS_AT_ONCE))
    return coder, jnp.where(active, value, 0)


def push_token(coder: Coder, tables: Tables, row: jax.Array, token: jax.Array, active: jax.Array) -> Coder:
    """Code one token, uint32 (lanes,), without extra bits in each active lane; see ``push``."""
    return _push_token(coder, tables, row, token, active, [])


def pop_token(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one token, uint32 (lanes,), in each active lane; the inverse of ``push_token``."""
    states, token = _pop_token(coder.states, tables, row, active)
    return _refill(coder._replace(states=states), active), token


def push_bits(coder: Coder, bits: jax.Array, width: int, active: jax.Array) -> Coder:
    """Store the low ``width`` bits, at most 16, of ``bits``, uint32 (lanes,), in each active lane."""
    states, overflow = _push_bits(coder.states, bits, jnp.where(active, jnp.uint32(width), 0))
    return _append(coder, [overflow])._replace(states=states)


def pop_bits(coder: Coder, width: int, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Read ``width`` bits in each active lane, uint32 (lanes,), 0 in idle lanes; inverts ``push_bits``."""
    n_bits = jnp.where(active, jnp.uint32(width), 0)
    bits = coder.states & ((jnp.uint32(1) << n_bits) - 1)
    return _refill(coder._replace(states=coder.states >> n_bits), active), bits


class _Overflow(NamedTuple):
    """Words that lanes append to the stack.

    Attributes:
        lanes: bool (lanes,), the lanes that append a word.
        words: uint32 (lanes,), the words in the low 16 bits.
    """

    lanes: jax.Array
    words: jax.Array


def _append(coder: Coder, overflows: list[_Overflow]) -> Coder:
    """Append words to the stack; states do not change."""
    lanes = [overflow.lanes for overflow in overflows]
    appended = [overflow.words for overflow in overflows]
    words, used = append_words(coder.words, coder.used, lanes, appended)
    return Coder(coder.states, words, used)


def _push_token(
    coder: Coder,
    tables: Tables,
    row: jax.Array,
    token: jax.Array,
    active: jax.Array,
    earlier: list[_Overflow],
) -> Coder:
    """Code tokens as ``push_token`` does; words of ``earlier`` overflows are appended first."""
    states, entry = coder.states, tables.tokens[row, token]
    frequency, start = entry & FREQUENCY_MASK, entry >> jnp.uint32(START_SHIFT)
    overflows = active & (states >> jnp.uint32(_STATE_BITS - PRECISION) >= frequency)
    coder = _append(coder, [*earlier, _Overflow(overflows, states)])

    states = jnp.where(overflows, states >> jnp.uint32(WORD_BITS), states)
    quotient = states // frequency
    pushed = (quotient << jnp.uint32(PRECISION)) + (states - quotient * frequency) + start
    return coder._replace(states=jnp.where(active, pushed, states))


def _push_bits(states: jax.Array, bits: jax.Array, width: jax.Array) -> tuple[jax.Array, _Overflow]:
    """Shift the low ``width`` bits of ``bits`` into states; ``width`` is uint32 (lanes,), at most 16."""
    overflows = states >> jnp.uint32(WORD_BITS) >> (jnp.uint32(WORD_BITS) - width) > 0
    overflows &= width > 0
    shortened = jnp.where(overflows, states >> jnp.uint32(WORD_BITS), states)
    bits = bits & ((jnp.uint32(1) << width) - 1)
    return shortened << width | bits, _Overflow(overflows, states)


def _push_high(coder: Coder, extra: jax.Array, n_bits: jax.Array, has_high: jax.Array) -> Coder:
    """Store the extra bits above the lowest 16, in the lanes that have them."""
    width = jnp.where(has_high, n_bits - jnp.uint32(_MAX_BITS_AT_ONCE), 0)
    states, overflow = _push_bits(coder.states, extra >> jnp.uint32(_MAX_BITS_AT_ONCE), width)
    return _append(coder, [overflow])._replace(states=states)


def _pop_token(
    states: jax.Array, tables: Tables, row: jax.Array, active: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Decode tokens without refilling.

    Returns:
        The states, which may be below _LOWEST in active lanes, and the tokens, uint32 (lanes,).
    """
    slot = states & jnp.uint32((1 << PRECISION) - 1)
    token, frequency, offset = find_token(tables, row, slot)
    popped = frequency * (states >> jnp.uint32(PRECISION)) + offset
    return jnp.where(active, popped, states), token


def _pop_high(coder: Coder, n_bits: jax.Array, has_high: jax.Array) -> tuple[Coder, jax.Array]:
    """Read the extra bits above the lowest 16; the inverse of ``_push_high``."""
    width = jnp.where(has_high, n_bits - jnp.uint32(_MAX_BITS_AT_ONCE), 0)
    bits = coder.states & ((jnp.uint32(1) << width) - 1)
    return _refill(coder._replace(states=coder.states >> width), has_high), bits


def _refill(coder: Coder, active: jax.Array) -> Coder:
    """Take a word from the stack in each active lane whose state is below _LOWEST."""
    is_low = active & (coder.states < _LOWEST)
    (words,), used = take_words(coder.words, coder.used, [is_low])
    states = jnp.where(is_low, coder.states << jnp.uint32(WORD_BITS) | words, coder.states)
    return Coder(states, coder.words, used)
