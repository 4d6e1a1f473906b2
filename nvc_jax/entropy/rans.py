"""Entropy coding on the device: integers to 16-bit words and back, by interleaved rANS in ``jax.numpy``.

Many lanes share one stream of words. At each step every active lane codes one integer, and the lanes that
overflow append a word each, in the order of the lanes. Encoding runs through the steps backwards, so that
decoding, which takes words from the end, runs forwards (Duda, 2013; Giesen, 2014). Integers only: a stream
decodes to the same values on every device.

An integer is a *token* of its row's frequency table, and for large magnitudes a few bits that are stored as
they are. A table need not have every token: what it lacks follows an escape, so that rare tokens take nothing
from frequent ones. Every int32 below 2**23 in magnitude has a code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy.frequency_tables import FREQUENCY_MASK, PRECISION, Tables
from nvc_jax.entropy.tokens import ESCAPE, ESCAPE_BITS, N_TOKENS, from_token, n_extra_bits, to_token

_BITS_AT_ONCE = 16  # that a state takes before it must be brought back into its interval
WORDS_PER_INTEGER = 3
"""Most words that one integer takes, on top of two for each lane."""
_LOWEST = 1 << 16  # a state between steps lies in [2**16, 2**32)


class Coder(NamedTuple):
    """State of encoding or decoding.

    Attributes:
        states: uint32 (lanes,).
        words: uint16 (capacity,).
        used: int32, words in use.
    """

    states: jax.Array
    words: jax.Array
    used: jax.Array


def start_encoding(n_lanes: int, n_words: int) -> Coder:
    """An empty stream that holds ``n_words`` words: WORDS_PER_INTEGER for each integer, 2 for each lane."""
    states = jnp.full(n_lanes, _LOWEST, jnp.uint32)
    return Coder(states, jnp.zeros(n_words, jnp.uint16), jnp.int32(0))


def narrow(coder: Coder, n_lanes: int) -> Coder:
    """A coder of the first lanes only."""
    return coder._replace(states=coder.states[:n_lanes])


def widen(coder: Coder, n_lanes: int) -> Coder:
    """A coder of so many lanes, of which the last were never active."""
    idle = jnp.full(n_lanes - len(coder.states), _LOWEST, jnp.uint32)
    return coder._replace(states=jnp.concatenate([coder.states, idle]))


def push(coder: Coder, tables: Tables, row: jax.Array, value: jax.Array, active: jax.Array) -> Coder:
    """Code one integer in each active lane.

    Args:
        coder: the state.
        tables: the frequency tables.
        row: int32 (lanes,), each lane's table.
        value: int32 (lanes,), |value| ≤ MAX_MAGNITUDE.
        active: bool (lanes,).
    """
    token, extra, n_bits = to_token(value)
    lacking = tables.tokens[row, token] & FREQUENCY_MASK == 0
    token = jnp.where(lacking, ESCAPE, token).astype(jnp.uint32)
    extra = jnp.where(lacking, (value + (1 << ESCAPE_BITS - 1)).astype(jnp.uint32), extra)
    n_bits = jnp.where(active, jnp.where(lacking, ESCAPE_BITS, n_bits), 0).astype(jnp.uint32)
    # A state takes up to 16 bits at a time: the high bits go first, of the few integers that have more.
    has_high = n_bits > _BITS_AT_ONCE
    coder = lax.cond(jnp.any(has_high), _push_high, lambda c, *_: c, coder, extra, n_bits, has_high)
    states, overflow = _push_bits(coder.states, extra, jnp.minimum(n_bits, _BITS_AT_ONCE))
    return _push_token(coder._replace(states=states), tables, row, token, active, [overflow])


def push_token(coder: Coder, tables: Tables, row: jax.Array, token: jax.Array, active: jax.Array) -> Coder:
    """Code one token, uint32 (lanes,), in each active lane; else as ``push``."""
    return _push_token(coder, tables, row, token, active, [])


def push_bits(coder: Coder, bits: jax.Array, width: int, active: jax.Array) -> Coder:
    """Store ``width`` bits, at most 16, of ``bits``, uint32 (lanes,), in each active lane."""
    states, overflow = _push_bits(coder.states, bits, jnp.where(active, jnp.uint32(width), 0))
    return _append(coder, [overflow])._replace(states=states)


def pop_bits(coder: Coder, width: int, active: jax.Array) -> tuple[Coder, jax.Array]:
    """The inverse of ``push_bits``: uint32 (lanes,), 0 in idle lanes."""
    count = jnp.where(active, jnp.uint32(width), 0)
    bits = coder.states & ((jnp.uint32(1) << count) - 1)
    return _refill(coder._replace(states=coder.states >> count), active), bits


class _Overflow(NamedTuple):
    """Words that lanes append: whether each does, and the word (in the low 16 bits)."""

    lanes: jax.Array
    words: jax.Array


def _push_token(
    coder: Coder,
    tables: Tables,
    row: jax.Array,
    token: jax.Array,
    active: jax.Array,
    earlier: list[_Overflow],
) -> Coder:
    """``push_token``; what overflowed ``earlier`` is appended first, together with what does now."""
    states, entry = coder.states, tables.tokens[row, token]
    frequency, start = entry & FREQUENCY_MASK, entry >> jnp.uint32(16)
    overflows = active & (states >> jnp.uint32(32 - PRECISION) >= frequency)
    coder = _append(coder, [*earlier, _Overflow(overflows, states)])
    states = jnp.where(overflows, states >> jnp.uint32(16), states)
    quotient = states // frequency
    pushed = (quotient << jnp.uint32(PRECISION)) + (states - quotient * frequency) + start
    return coder._replace(states=jnp.where(active, pushed, states))


def _push_bits(states: jax.Array, extra: jax.Array, width: jax.Array) -> tuple[jax.Array, _Overflow]:
    """Put the low ``width`` bits of ``extra`` on top of states; 0 bits, at most 16."""
    overflows = states >> jnp.uint32(16) >> (jnp.uint32(16) - width) > 0
    overflows &= width > 0
    left = jnp.where(overflows, states >> jnp.uint32(16), states)
    bits = extra & ((jnp.uint32(1) << width) - 1)
    return left << width | bits, _Overflow(overflows, states)


def _push_high(coder: Coder, extra: jax.Array, n_bits: jax.Array, has_high: jax.Array) -> Coder:
    width = jnp.where(has_high, n_bits - jnp.uint32(_BITS_AT_ONCE), 0)
    states, overflow = _push_bits(coder.states, extra >> jnp.uint32(_BITS_AT_ONCE), width)
    return _append(coder, [overflow])._replace(states=states)


def _append(coder: Coder, overflows: list[_Overflow]) -> Coder:
    """Append words to the stream; states stay what they are."""
    mask = jnp.concatenate([overflow.lanes for overflow in overflows])
    words = jnp.concatenate([overflow.words for overflow in overflows]).astype(jnp.uint16)
    rank, count = _rank(mask)
    place = jnp.where(mask, coder.used + rank - 1, coder.words.shape[0])
    words = coder.words.at[place].set(words, mode="drop")
    return coder._replace(words=words, used=coder.used + count)


def _rank(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of each place of a bool (n,), how many are true up to it, int32 (n,); and how many are in all."""
    # By 32 bits at a time: a running sum over all lanes would take as long as all else of a step.
    n, bit = mask.shape[0], jnp.arange(32, dtype=jnp.uint32)
    bits = jnp.pad(mask, (0, -n % 32)).reshape(-1, 32).astype(jnp.uint32)
    packed = jnp.sum(bits << bit[None], axis=1, dtype=jnp.uint32)
    counts = lax.population_count(packed).astype(jnp.int32)
    ends = jnp.cumsum(counts, dtype=jnp.int32)
    up_to = packed[:, None] & ((jnp.uint32(2) << bit) - 1)[None]
    ranks = (ends - counts)[:, None] + lax.population_count(up_to).astype(jnp.int32)
    return ranks.reshape(-1)[:n], ends[-1]


def finish_encoding(coder: Coder, n_lanes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The stream, uint16 (capacity,), and how many words of it are in use.

    Args:
        coder: the state.
        n_lanes: int32, lanes that were ever active: only their states are stored, two words each.
    """
    halves = jnp.stack([coder.states, coder.states >> jnp.uint32(16)], axis=1).astype(jnp.uint16)
    words = lax.dynamic_update_slice(coder.words, halves.reshape(-1), (coder.used,))
    return words, coder.used + 2 * n_lanes


def start_decoding(words: jax.Array, used: jax.Array, n_lanes: jax.Array, max_lanes: int) -> Coder:
    """The inverse of ``finish_encoding``; of ``max_lanes`` lanes the first ``n_lanes`` are active."""
    used = used - 2 * n_lanes
    index = used + jnp.arange(2 * max_lanes).reshape(max_lanes, 2)
    halves = words.at[index].get(mode="clip").astype(jnp.uint32)
    return Coder(halves[:, 0] | halves[:, 1] << jnp.uint32(16), words, used)


def pop(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one integer in each active lane, the inverse of ``push``; int32 (lanes,), else 0."""
    states, token = _pop_token(coder.states, tables, row, active)
    n_bits = jnp.where(active, n_extra_bits(token), 0)
    width = jnp.minimum(n_bits, _BITS_AT_ONCE)
    low = active & (states < _LOWEST)
    # Words come in at the low end: whether a state is too low once its bits are gone depends on none of them.
    low_after = (width > 0) & (jnp.where(low, states, states >> jnp.uint32(16)) >> width == 0)
    (second, first), coder = _take(coder, [low_after, low])
    states = jnp.where(low, states << jnp.uint32(16) | first, states)
    bits, states = states & ((jnp.uint32(1) << width) - 1), states >> width
    coder = coder._replace(states=jnp.where(low_after, states << jnp.uint32(16) | second, states))
    has_high = n_bits > _BITS_AT_ONCE
    coder, high = lax.cond(
        jnp.any(has_high), _pop_high, lambda c, n, _: (c, jnp.zeros_like(n)), coder, n_bits, has_high
    )
    value = from_token(token, bits | high << jnp.uint32(_BITS_AT_ONCE))
    return coder, jnp.where(active, value, 0)


def pop_token(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one token in each active lane, the inverse of ``push_token``; uint32 (lanes,)."""
    states, token = _pop_token(coder.states, tables, row, active)
    return _refill(coder._replace(states=states), active), token


def _pop_token(
    states: jax.Array, tables: Tables, row: jax.Array, active: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Tokens, and the states that are left of those of active lanes, which may be too low."""
    slot = states & jnp.uint32((1 << PRECISION) - 1)
    if tables.slots is None:
        token, frequency, offset = _search_token(tables, row, slot)
    else:
        entry = tables.slots[row, slot]
        token = entry & jnp.uint32(N_TOKENS - 1)
        frequency = (entry >> jnp.uint32(6) & jnp.uint32((1 << PRECISION) - 1)) + 1
        offset = entry >> jnp.uint32(6 + PRECISION)
    popped = frequency * (states >> jnp.uint32(PRECISION)) + offset
    return jnp.where(active, popped, states), token


def _search_token(tables: Tables, row: jax.Array, slot: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Tokens at slots, their frequencies, and how far the slots lie in them, by where tokens start."""
    entries = tables.tokens[row]
    # Of those that start at the same slot only the last has a frequency.
    token = jnp.sum(entries >> jnp.uint32(16) <= slot[:, None], axis=1, dtype=jnp.int32) - 1
    entry = jnp.take_along_axis(entries, token[:, None], axis=1)[:, 0]
    return token.astype(jnp.uint32), entry & FREQUENCY_MASK, slot - (entry >> jnp.uint32(16))


def _pop_high(coder: Coder, n_bits: jax.Array, has_high: jax.Array) -> tuple[Coder, jax.Array]:
    width = jnp.where(has_high, n_bits - jnp.uint32(_BITS_AT_ONCE), 0)
    bits = coder.states & ((jnp.uint32(1) << width) - 1)
    return _refill(coder._replace(states=coder.states >> width), has_high), bits


def _refill(coder: Coder, active: jax.Array) -> Coder:
    """Take a word from the stream in the lanes whose state is too low."""
    low = active & (coder.states < _LOWEST)
    (words,), coder = _take(coder, [low])
    return coder._replace(states=jnp.where(low, coder.states << jnp.uint32(16) | words, coder.states))


def _take(coder: Coder, lanes: list[jax.Array]) -> tuple[list[jax.Array], Coder]:
    """The stream's last words, uint32, for lanes; those of the first entry of ``lanes`` lie first."""
    rank, count = _rank(jnp.concatenate(lanes))
    words = coder.words.at[coder.used - count + rank - 1].get(mode="clip").astype(jnp.uint32)
    return jnp.split(words, len(lanes)), coder._replace(used=coder.used - count)
