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
    n_rows = frequencies.shape[0]
    rows = jnp.arange(n_rows)[:, None]
    # Tokens that a table lacks begin where the next one does, and at the very end beyond the last slot.
    marks = jnp.zeros((n_rows, 1 << PRECISION), jnp.uint32).at[rows, starts].add(jnp.uint32(1), mode="drop")
    token = jnp.cumsum(marks, axis=1, dtype=jnp.uint32) - jnp.uint32(1)
    frequency = jnp.take_along_axis(frequencies, token, axis=1)
    offset = jnp.arange(1 << PRECISION, dtype=jnp.uint32)[None] - jnp.take_along_axis(starts, token, axis=1)
    slots = token | (frequency - 1) << jnp.uint32(6) | offset << jnp.uint32(6 + PRECISION)
    return Tables(tokens, slots)


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
    n_bits = jnp.where(lacking, _ESCAPE_BITS, n_bits).astype(jnp.uint32)
    has_extra = active & (n_bits > 0)
    coder = lax.cond(jnp.any(has_extra), _push_bits, lambda c, *_: c, coder, extra, n_bits, has_extra)
    return push_token(coder, tables, row, token, active)


def push_token(coder: Coder, tables: Tables, row: jax.Array, token: jax.Array, active: jax.Array) -> Coder:
    """Code one token, uint32 (lanes,), in each active lane; else as ``push``."""
    entry = tables.tokens[row, token]
    frequency, start = entry & _FREQUENCY_MASK, entry >> jnp.uint32(16)
    coder = _append(coder, active & (coder.states >> jnp.uint32(32 - PRECISION) >= frequency))
    states = coder.states
    pushed = (states // frequency << jnp.uint32(PRECISION)) + states % frequency + start
    return coder._replace(states=jnp.where(active, pushed, states))


def _push_bits(coder: Coder, extra: jax.Array, n_bits: jax.Array, active: jax.Array) -> Coder:
    """A state takes up to 16 bits at a time: the high bits go first, of the few integers that have more."""

    def push(coder: Coder, bits: jax.Array, width: jax.Array, active: jax.Array) -> Coder:
        coder = _append(coder, active & (coder.states >> jnp.uint32(16) >> (jnp.uint32(16) - width) > 0))
        return coder._replace(states=jnp.where(active, coder.states << width | bits, coder.states))

    high = jnp.maximum(n_bits, _BITS_AT_ONCE) - jnp.uint32(_BITS_AT_ONCE)
    has_high = active & (high > 0)
    high_bits = extra >> jnp.uint32(_BITS_AT_ONCE)
    coder = lax.cond(jnp.any(has_high), push, lambda c, *_: c, coder, high_bits, high, has_high)
    low_bits = extra & jnp.uint32((1 << _BITS_AT_ONCE) - 1)
    return push(coder, low_bits, n_bits - high, active)


def _append(coder: Coder, overflows: jax.Array) -> Coder:
    """Move the low 16 bits of the lanes that overflow to the stream."""
    place = coder.used + jnp.cumsum(overflows.astype(jnp.int32)) - 1
    place = jnp.where(overflows, place, coder.words.shape[0])
    words = coder.words.at[place].set(coder.states.astype(jnp.uint16), mode="drop")
    states = jnp.where(overflows, coder.states >> jnp.uint32(16), coder.states)
    return Coder(states, words, coder.used + jnp.sum(overflows, dtype=jnp.int32))


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
    coder, token = pop_token(coder, tables, row, active)
    n_bits = n_extra_bits(token)
    has_extra = active & (n_bits > 0)
    coder, extra = lax.cond(
        jnp.any(has_extra), _pop_bits, lambda c, n, _: (c, jnp.zeros_like(n)), coder, n_bits, has_extra
    )
    return coder, jnp.where(active, from_token(token, extra), 0)


def pop_token(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """Decode one token in each active lane, the inverse of ``push_token``; uint32 (lanes,)."""
    if tables.slots is None:
        return _search_token(coder, tables, row, active)
    states = coder.states
    entry = tables.slots[row, states & jnp.uint32((1 << PRECISION) - 1)]
    frequency = (entry >> jnp.uint32(6) & jnp.uint32((1 << PRECISION) - 1)) + 1
    popped = frequency * (states >> jnp.uint32(PRECISION)) + (entry >> jnp.uint32(6 + PRECISION))
    coder = _refill(coder._replace(states=jnp.where(active, popped, states)), active)
    return coder, entry & jnp.uint32(N_TOKENS - 1)


def _search_token(coder: Coder, tables: Tables, row: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    """As ``pop_token``, by where tokens start."""
    states, entries = coder.states, tables.tokens[row]
    slot = states & jnp.uint32((1 << PRECISION) - 1)
    starts = entries >> jnp.uint32(16)
    # Of those that start at the same slot only the last has a frequency.
    token = jnp.sum(starts <= slot[:, None], axis=1, dtype=jnp.int32) - 1
    entry = jnp.take_along_axis(entries, token[:, None], axis=1)[:, 0]
    start, frequency = entry >> jnp.uint32(16), entry & _FREQUENCY_MASK
    popped = frequency * (states >> jnp.uint32(PRECISION)) + slot - start
    coder = _refill(coder._replace(states=jnp.where(active, popped, states)), active)
    return coder, token.astype(jnp.uint32)


def _pop_bits(coder: Coder, n_bits: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
    def pop(coder: Coder, width: jax.Array, active: jax.Array) -> tuple[Coder, jax.Array]:
        bits = coder.states & ((jnp.uint32(1) << width) - 1)
        states = jnp.where(active, coder.states >> width, coder.states)
        return _refill(coder._replace(states=states), active), jnp.where(active, bits, 0)

    high = jnp.maximum(n_bits, _BITS_AT_ONCE) - jnp.uint32(_BITS_AT_ONCE)
    coder, extra = pop(coder, n_bits - high, active)
    has_high = active & (high > 0)
    coder, high_bits = lax.cond(
        jnp.any(has_high), pop, lambda c, n, _: (c, jnp.zeros_like(n)), coder, high, has_high
    )
    return coder, extra | high_bits << jnp.uint32(_BITS_AT_ONCE)


def _refill(coder: Coder, active: jax.Array) -> Coder:
    """Take a word from the stream in the lanes whose state is too low."""
    low = active & (coder.states < _LOWEST)
    count = jnp.sum(low, dtype=jnp.int32)
    place = coder.used - count + jnp.cumsum(low.astype(jnp.int32)) - 1
    word = coder.words.at[place].get(mode="clip").astype(jnp.uint32)
    states = jnp.where(low, coder.states << jnp.uint32(16) | word, coder.states)
    return coder._replace(states=states, used=coder.used - count)
