"""Entropy coding on the device: integers to 16-bit words and back, by interleaved rANS in ``jax.numpy``.

Many lanes share one stream of words. At each step every active lane codes one integer, and the lanes that
overflow append a word each, in the order of the lanes. Encoding runs through the steps backwards, so that
decoding, which takes words from the end, runs forwards (Duda, 2013; Giesen, 2014). Integers only: a stream
decodes to the same values on every device.

An integer is a *token* of its row's frequency table, and for large magnitudes a few bits that are stored as
they are. A table need not have every token: what it lacks follows an escape, so that rare tokens take nothing
from frequent ones. Every int32 below 2**23 in magnitude has a code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

PRECISION = 12
"""Bits of a table's frequencies, which sum to 2**PRECISION."""
N_TOKENS = 64
"""Tokens of a table."""
ESCAPE = N_TOKENS - 1
"""The token that the integers follow whose own token a table lacks; every table of integers has it."""
_N_SMALL = 9  # magnitudes below have tokens of their own
_N_SMALL_TOKENS = 2 * _N_SMALL - 1
_ESCAPE_BITS = 24
_BITS_AT_ONCE = 16  # that a state takes before it must be brought back into its interval
MAX_MAGNITUDE = (1 << _ESCAPE_BITS - 1) - 1
"""Largest magnitude that ``push`` codes."""
WORDS_PER_INTEGER = 3
"""Most words that one integer takes, on top of two for each lane."""

_FREQUENCY_MASK = (1 << 16) - 1
_LOWEST = 1 << 16  # a state between steps lies in [2**16, 2**32)


class Tables(NamedTuple):
    """Frequency tables in the forms that coding wants; one row for each table.

    Attributes:
        tokens: uint32 (rows, N_TOKENS): for each token its frequency, and the sum of those before, packed.
        slots: uint32 (rows, 2**PRECISION): for each slot its token, frequency − 1 and offset, packed.
            None where few tokens are decoded.
    """

    tokens: jax.Array
    slots: jax.Array | None


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


def quantize_frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Integer frequencies that sum to 2**PRECISION, near the given probabilities; 0 only where they are 0.

    Args:
        probabilities: (rows, N_TOKENS), not negative, each row with a positive sum.

    Returns:
        uint16 (rows, N_TOKENS).
    """
    rows = np.asarray(probabilities, np.float64)
    if rows.ndim != 2 or rows.shape[1] != N_TOKENS or (rows < 0).any() or not (rows.sum(1) > 0).all():
        raise ValueError(
            f"`probabilities` has shape {rows.shape}; it must be (rows, {N_TOKENS}), "
            "not negative, with a positive sum in each row"
        )
    least = (rows > 0).astype(np.int64)
    exact = rows / rows.sum(axis=1, keepdims=True) * (1 << PRECISION)
    whole = np.maximum(np.floor(exact).astype(np.int64), least)
    for row, share, floor in zip(whole, exact, least, strict=True):
        while (missing := (1 << PRECISION) - row.sum()) != 0:
            # One by one, where it changes the code's length least.
            gain = np.where(share > 0, share / np.maximum(row, 1), 0)
            if missing > 0:
                row[np.argmax(gain)] += 1
            else:
                row[np.argmin(np.where(row > floor, gain, np.inf))] -= 1
    return whole.astype(np.uint16)


def make_tables(frequencies: jax.Array, *, with_slots: bool = True) -> Tables:
    """Prepare tables for coding.

    Args:
        frequencies: (rows, N_TOKENS) of any integer dtype, from ``quantize_frequencies``.
        with_slots: whether to prepare for decoding many tokens; few are decoded faster without.
    """
    frequencies = frequencies.astype(jnp.uint32)
    starts = jnp.cumsum(frequencies, axis=1, dtype=jnp.uint32) - frequencies
    tokens = frequencies | starts << jnp.uint32(16)
    if not with_slots:
        return Tables(tokens, None)
    n_rows, slot = frequencies.shape[0], jnp.arange(1 << PRECISION, dtype=jnp.uint32)[None]
    # What all slots of a token share, as a running sum of the changes where tokens start, modulo 2**32. Those
    # that a table lacks begin where the next one does, and at the very end beyond the last slot.
    shared = jnp.arange(N_TOKENS, dtype=jnp.uint32)[None] + (frequencies - 1 << jnp.uint32(6))
    shared = shared - (starts << jnp.uint32(6 + PRECISION))
    changes = jnp.diff(shared, axis=1, prepend=jnp.uint32(0))
    marks = jnp.zeros((n_rows, 1 << PRECISION), jnp.uint32)
    marks = marks.at[jnp.arange(n_rows)[:, None], starts].add(changes, mode="drop")
    return Tables(tokens, jnp.cumsum(marks, axis=1, dtype=jnp.uint32) + (slot << jnp.uint32(6 + PRECISION)))


def to_token(value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Token, extra bits and their number (all uint32) of int32 ``value``, |value| ≤ MAX_MAGNITUDE.

    Odd tokens are negative. Tokens 0 … 16 are 0, −1, 1, −2, 2 … −8, 8; above, two tokens share a power of
    two, whose remainder is the extra bits.
    """
    magnitude = jnp.abs(value).astype(jnp.uint32)
    beyond = jnp.maximum(magnitude, _N_SMALL) - jnp.uint32(_N_SMALL - 1)
    n_bits = 31 - lax.clz(beyond)
    is_small = magnitude < _N_SMALL
    token = jnp.where(is_small, 2 * magnitude, _N_SMALL_TOKENS + 1 + 2 * n_bits)
    return (
        token - (value < 0).astype(jnp.uint32),
        jnp.where(is_small, 0, beyond - (jnp.uint32(1) << n_bits)),
        jnp.where(is_small, 0, n_bits),
    )


def n_extra_bits(token: jax.Array) -> jax.Array:
    """How many bits follow ``token`` (uint32)."""
    large = (jnp.maximum(token, _N_SMALL_TOKENS) - jnp.uint32(_N_SMALL_TOKENS)) >> jnp.uint32(1)
    return jnp.where(token == ESCAPE, _ESCAPE_BITS, large)


def from_token(token: jax.Array, extra: jax.Array) -> jax.Array:
    """The int32 value of a token and its extra bits; the inverse of ``to_token``."""
    small = (token + 1) >> jnp.uint32(1)
    large = (jnp.uint32(1) << n_extra_bits(token)) + extra + jnp.uint32(_N_SMALL - 1)
    magnitude = jnp.where(token < _N_SMALL_TOKENS, small, large).astype(jnp.int32)
    coded = jnp.where(token & 1 == 1, -magnitude, magnitude)
    return jnp.where(token == ESCAPE, extra.astype(jnp.int32) - (1 << _ESCAPE_BITS - 1), coded)


def token_ranges() -> tuple[np.ndarray, np.ndarray]:
    """For every token but ESCAPE its smallest magnitude and how many it covers, int64 (N_TOKENS − 1,)."""
    token = np.arange(ESCAPE)
    small = token < _N_SMALL_TOKENS
    count = 1 << np.maximum(token - _N_SMALL_TOKENS, 0) // 2
    return np.where(small, (token + 1) // 2, count + _N_SMALL - 1), count


def varying_like(reference: jax.Array, tree: Any) -> Any:
    """``tree`` unchanged, but varying over the devices of a shard_map where ``reference`` does.

    Loops want the types of what they carry to be the same before and after; constants do not vary.
    """
    zero = (reference.reshape(-1)[0] * 0).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)


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
    lacking = tables.tokens[row, token] & _FREQUENCY_MASK == 0
    token = jnp.where(lacking, ESCAPE, token).astype(jnp.uint32)
    extra = jnp.where(lacking, (value + (1 << _ESCAPE_BITS - 1)).astype(jnp.uint32), extra)
    n_bits = jnp.where(active, jnp.where(lacking, _ESCAPE_BITS, n_bits), 0).astype(jnp.uint32)
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
    frequency, start = entry & _FREQUENCY_MASK, entry >> jnp.uint32(16)
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
    return token.astype(jnp.uint32), entry & _FREQUENCY_MASK, slot - (entry >> jnp.uint32(16))


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
