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

*Step and lanes.* Many lanes run side by side, each with a state of its own. In one step every active lane
codes one integer. Lanes are in groups of 32 that share a stack of words (Giesen, 2014): see ``word_stack``.
The decoder's states tell it which lanes have a word to take, so nothing else is stored.

*Integers.* An integer is a token of its row's table, and extra bits that enter the state unchanged: see
``tokens``. A token of frequency 0 is replaced by an escape, so that rare tokens take nothing from frequent
ones. All arithmetic is on integers: a stream decodes to the same values on every device.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import (
    FREQUENCY_MASK,
    PRECISION,
    START_SHIFT,
    Tables,
    entry_of_token,
    find_token,
)
from nvc_jax.entropy.joined_stacks import join_stacks
from nvc_jax.entropy.tokens import ESCAPE, ESCAPE_BITS, from_token, n_extra_bits, to_token
from nvc_jax.entropy.word_stack import GROUP_LANES, WORD_BITS, append_words, take_words
from nvc_jax.entropy.word_stream import WordStream, n_groups_of

WORDS_PER_INTEGER = 3
"""Most words that one integer takes."""
WORDS_PER_LANE = 12
"""Most words of a lane besides those of its share of the integers: two of its final state, and those of items
that it has more than its share."""
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
        words: uint16 (capacity,), the stacks of words, one for each group of lanes.
        tops: int32 (groups,), index behind the last word of each stack.

    In a kernel of one group, ``words`` is a reference to memory, and there is one top (see ``word_stack``).
    """

    states: jax.Array
    words: Any
    tops: jax.Array


def capacity(n_integers: int, max_lanes: int) -> int:
    """Get the number of words that hold every stream of ``n_integers`` integers."""
    return WORDS_PER_INTEGER * n_integers + WORDS_PER_LANE * max_lanes


def start_encoding(n_lanes: jax.Array, max_lanes: int, n_words: int) -> Coder:
    """Begin a stream.

    Args:
        n_lanes: int32, lanes of the stream.
        max_lanes: largest number of lanes; static.
        n_words: from ``capacity``; static.
    """
    n_groups = n_groups_of(max_lanes)
    states = jnp.full(n_groups * GROUP_LANES, _LOWEST, jnp.uint32)
    return Coder(states, jnp.zeros(n_words, jnp.uint16), _bases(n_lanes, n_groups, n_words))


def _bases(n_lanes: jax.Array, n_groups: int, n_words: int) -> jax.Array:
    """Index of the first word of each group's stack while it grows: groups with lanes have equal parts."""
    share = n_words // (-(-n_lanes // GROUP_LANES))
    return jnp.minimum(share * jnp.arange(n_groups, dtype=jnp.int32), n_words)


def finish_encoding(coder: Coder, n_lanes: jax.Array) -> WordStream:
    """Append the final states of the lanes of a stream, two words each, and join the stacks."""
    lane = jnp.arange(len(coder.states), dtype=jnp.int32)
    is_lane, n_words = lane < n_lanes, len(coder.words)
    high = coder.states >> jnp.uint32(WORD_BITS)
    words, tops = append_words(coder.words, coder.tops, [is_lane, is_lane], [high, coder.states])
    bases = _bases(n_lanes, len(tops), n_words)
    group_words = tops - bases
    return WordStream(join_stacks(words, bases, group_words), group_words, n_lanes)


def start_decoding(stream: WordStream) -> Coder:
    """Begin to decode a stream, in as many lanes as its groups may have."""
    tops = jnp.cumsum(stream.group_words, dtype=jnp.int32)
    lane = jnp.arange(len(tops) * GROUP_LANES, dtype=jnp.int32)
    is_lane = lane < stream.n_lanes
    (low, high), tops = take_words(stream.words, tops, [is_lane, is_lane])
    states = jnp.where(is_lane, low | high << jnp.uint32(WORD_BITS), jnp.uint32(_LOWEST))
    return Coder(states, stream.words, tops)


def ends_well(coder: Coder, stream: WordStream) -> jax.Array:
    """Check that a stream, decoded to its end, ends as every encoder ends it: bool."""
    starts = jnp.cumsum(stream.group_words, dtype=jnp.int32) - stream.group_words
    return jnp.all(coder.tops == starts) & jnp.all(coder.states == _LOWEST)


def push(coder: Coder, tables: Tables, row: jax.Array, value: jax.Array, active: jax.Array) -> Coder:
    """Code one integer in each active lane.

    Args:
        coder: the state.
        tables: the frequency tables.
        row: int32 (lanes,), each lane's row of the tables.
        value: int32 (lanes,), |value| ≤ MAX_MAGNITUDE.
        active: bool (lanes,).
    """
    token, extra, n_bits = coded_tokens(tables, row, value)
    n_bits = jnp.where(active, n_bits, 0)

    # A state takes up to 16 bits at once. The high bits enter first, for the few integers that have more.
    n_high = jnp.maximum(n_bits, _MAX_BITS_AT_ONCE) - jnp.uint32(_MAX_BITS_AT_ONCE)
    states, high = _push_bits(coder.states, extra >> jnp.uint32(_MAX_BITS_AT_ONCE), n_high)
    states, low = _push_bits(states, extra, jnp.minimum(n_bits, _MAX_BITS_AT_ONCE))
    return _push_token(coder._replace(states=states), tables, row, token, active, [high, low])


def coded_tokens(tables: Tables, row: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the tokens that code integers: those, extra bits and their number, uint32 (n,); see ``push``."""
    token, extra, n_bits = to_token(value)
    is_missing = entry_of_token(tables, row, token) & FREQUENCY_MASK == 0
    token = jnp.where(is_missing, ESCAPE, token).astype(jnp.uint32)
    extra = jnp.where(is_missing, (value + (1 << ESCAPE_BITS - 1)).astype(jnp.uint32), extra)
    return token, extra, jnp.where(is_missing, ESCAPE_BITS, n_bits).astype(jnp.uint32)


def pop(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one integer in each active lane; the inverse of ``push``.

    Returns:
        The state, and int32 (lanes,), 0 in idle lanes.
    """
    states, token = _pop_token(coder.states, tables, row, active)
    n_bits = jnp.where(active, n_extra_bits(token), 0)
    width = jnp.minimum(n_bits, _MAX_BITS_AT_ONCE)

    # A word enters at the low end of a state. So its value does not matter for the question whether the state
    # is too low again once further bits are removed, and the words of all refills are taken together.
    is_low = active & (states < _LOWEST)
    above = jnp.where(is_low, states, states >> jnp.uint32(WORD_BITS))
    is_low_after = (width > 0) & (above >> width == 0)
    n_high = n_bits - width
    is_low_at_last = (n_high > 0) & (above >> n_high == 0)  # where there are high bits, 16 others went first
    (first, second, third), tops = take_words(coder.words, coder.tops, [is_low, is_low_after, is_low_at_last])
    states = jnp.where(is_low, states << jnp.uint32(WORD_BITS) | first, states)
    bits, states = _pop_bits(states, width)
    states = jnp.where(is_low_after, states << jnp.uint32(WORD_BITS) | second, states)
    high, states = _pop_bits(states, n_high)
    states = jnp.where(is_low_at_last, states << jnp.uint32(WORD_BITS) | third, states)
    value = from_token(token, bits | high << jnp.uint32(_MAX_BITS_AT_ONCE))
    return Coder(states, coder.words, tops), jnp.where(active, value, 0)


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
    bits, states = _pop_bits(coder.states, jnp.where(active, jnp.uint32(width), 0))
    return _refill(coder._replace(states=states), active), bits


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
    words, tops = append_words(coder.words, coder.tops, lanes, appended)
    return Coder(coder.states, words, tops)


def _push_token(
    coder: Coder,
    tables: Tables,
    row: jax.Array,
    token: jax.Array,
    active: jax.Array,
    earlier: list[_Overflow],
) -> Coder:
    """Code tokens as ``push_token`` does; words of ``earlier`` overflows are appended first."""
    states, entry = coder.states, entry_of_token(tables, row, token)
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


def _pop_bits(states: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take the low ``width`` bits, uint32 (lanes,), from states: the bits, and the states without refill."""
    return states & ((jnp.uint32(1) << width) - 1), states >> width


def _refill(coder: Coder, active: jax.Array) -> Coder:
    """Take a word from the stack in each active lane whose state is below _LOWEST."""
    is_low = active & (coder.states < _LOWEST)
    (words,), tops = take_words(coder.words, coder.tops, [is_low])
    states = jnp.where(is_low, coder.states << jnp.uint32(WORD_BITS) | words, coder.states)
    return Coder(states, coder.words, tops)
