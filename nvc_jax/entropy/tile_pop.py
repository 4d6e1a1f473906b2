"""Steps of decoding rANS within a kernel of TPUs; ``rans.pop`` has the specification.

A kernel has the *windows* of all groups in a core's own memory: the last words of their stacks, more than
its steps can take. Arrays are int32 (1, lanes), whose bits are those of uint32; ``tile_lookup`` reads tables.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.tile_lookup import LANES, ROWS, look_up, select_rows, split_table
from nvc_jax.entropy.frequency_tables import PRECISION, START_SHIFT, Tables
from nvc_jax.entropy.rans import WORDS_PER_INTEGER
from nvc_jax.entropy.tokens import ESCAPE, ESCAPE_BITS, N_SMALL_TOKENS, N_TOKENS
from nvc_jax.entropy.word_stack import GROUP_LANES, WORD_BITS

_LOW_WORD = (1 << WORD_BITS) - 1


class Windows(NamedTuple):
    """Last words of the stacks of all groups, for each lane those of its group.

    Attributes:
        pairs: int32 (m, lanes), two words each, the one that is taken first in the high bits.
        tops: int32 (1, lanes), index in the window behind the next word.
    """

    pairs: Any
    tops: Any


def cut_windows(words: jax.Array, tops: jax.Array, n_steps: int) -> Windows:
    """Cut the windows of which a kernel takes words for ``n_steps`` integers of each lane.

    Args:
        words: uint16 (rows, LANES), the stacks, from ``words_in_rows``.
        tops: int32 (groups,), of the stacks.
        n_steps: static.
    """
    n_rows = rows_of_window(n_steps)
    begin = jnp.clip(lax.div(tops - 1, LANES) + 1 - n_rows, 0, len(words) - n_rows)
    taken = words[(begin[:, None] + jnp.arange(n_rows, dtype=jnp.int32)[None])]
    taken = taken.reshape(len(tops), -1).astype(jnp.int32).T
    pairs = taken[0::2] | taken[1::2] << WORD_BITS
    return Windows(*(jnp.repeat(leaf, GROUP_LANES, axis=1) for leaf in (pairs, (tops - begin * LANES)[None])))


def rows_of_window(n_steps: int) -> int:
    """Get the number of rows of LANES words that hold those of ``n_steps`` integers, from any place on."""
    return -(-n_steps * GROUP_LANES * WORDS_PER_INTEGER // LANES) + 1


def words_in_rows(words: jax.Array, n_steps: int) -> jax.Array:
    """Arrange a buffer in rows for ``cut_windows``: those of a window at least, filled with the last word."""
    n_rows = max(-(-len(words) // LANES), rows_of_window(n_steps))
    return jnp.pad(words, (0, n_rows * LANES - len(words)), mode="edge").reshape(n_rows, LANES)


def starts_of_tokens(tables: Tables) -> jax.Array:
    """Prepare the first slots of tokens, of each table of ``tables``, for ``pop``."""
    return split_table((tables.tokens >> START_SHIFT).T, 1 << PRECISION)


def pop(
    states: jax.Array, windows: Windows, starts: jax.Array, row: jax.Array, active: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Decode one integer in each active lane.

    Args:
        states: of the lanes.
        windows: of the lanes; ``pairs`` is a reference.
        starts: from ``starts_of_tokens``.
        row: of the tables.
        active: bool (1, lanes).

    Returns:
        The states, the tops of windows, and the integers; 0 in idle lanes.
    """
    states, token = _pop_token(states, starts, row, active)
    extra_bits = _n_extra_bits(token)
    n_bits = jnp.where(active, extra_bits, 0)
    width = jnp.minimum(n_bits, WORD_BITS)
    n_high = n_bits - width

    is_low = active & (_shift_right(states, WORD_BITS) == 0)
    above = jnp.where(is_low, states, _shift_right(states, WORD_BITS))
    is_low_after = (width > 0) & (_shift_right(above, width) == 0)
    is_low_at_last = (n_high > 0) & (_shift_right(above, n_high) == 0)
    (first, second, third), tops = _take_words(windows, [is_low, is_low_after, is_low_at_last])

    states = jnp.where(is_low, states << WORD_BITS | first, states)
    low, states = _pop_bits(states, width)
    states = jnp.where(is_low_after, states << WORD_BITS | second, states)
    high, states = _pop_bits(states, n_high)
    states = jnp.where(is_low_at_last, states << WORD_BITS | third, states)
    value = _from_token(token, low | high << WORD_BITS, extra_bits)
    return states, tops, jnp.where(active, value, 0)


def _pop_token(
    states: jax.Array, starts: jax.Array, row: jax.Array, active: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Decode tokens without refilling: the states and the tokens."""
    slot = states & (1 << PRECISION) - 1
    of_row = look_up(starts, N_TOKENS, row)
    has_begun = of_row <= slot
    token = jnp.sum(jnp.where(has_begun, 1, 0), axis=0, keepdims=True, dtype=jnp.int32) - 1
    begin = jnp.max(jnp.where(has_begun, of_row, 0), axis=0, keepdims=True)
    end = jnp.min(jnp.where(has_begun, 1 << PRECISION, of_row), axis=0, keepdims=True)
    popped = (end - begin) * _shift_right(states, PRECISION) + slot - begin
    return jnp.where(active, popped, states), token


def _take_words(windows: Windows, masks: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """Take words from the windows, as ``word_stack.take_words`` does: words and tops."""
    taken = [jnp.where(mask, 1, 0) for mask in masks]
    of_lane = taken[0] + taken[1] + taken[2]
    before, of_group = _sum_lower_lanes(of_lane)
    first, last = windows.tops - 1 - before, 2 * windows.pairs.shape[0] - 1
    # Behind the buffer, where only damaged streams reach, words are the last one.
    places = [jnp.minimum(p, last) for p in (first, first - taken[0], first - taken[0] - taken[1])]

    # Rows between those of the lowest and the highest places are looked at.
    takes = of_lane > 0
    lowest = jnp.min(jnp.where(takes, places[2], last))
    begin = lax.div(jnp.maximum(lowest, 0), 2 * ROWS) * ROWS
    end = (jnp.max(jnp.where(takes, places[0], -1)) >> 1) + 1
    pairs = select_rows(windows.pairs, [p >> 1 for p in places], begin, jnp.maximum(end - begin, 0))
    halves = zip(pairs, places, strict=True)
    words = [_shift_right(pair, (place & 1) * WORD_BITS) & _LOW_WORD for pair, place in halves]
    return words, windows.tops - of_group


def _sum_lower_lanes(of_lane: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum numbers up to 256 over the lower lanes of each lane's group, and over all lanes of it."""
    n_lanes = of_lane.shape[1]
    tiles = range(0, n_lanes, LANES)
    in_rows = jnp.concatenate([of_lane[:, tile : tile + LANES] for tile in tiles], axis=0)
    shape = (LANES, LANES)
    source, result = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(2))
    is_of_group = lax.div(source, GROUP_LANES) == lax.div(result, GROUP_LANES)
    sums = []
    for counts in (is_of_group & (source < result), is_of_group):
        ones = jnp.where(counts, 1.0, 0.0).astype(jnp.bfloat16)
        left = in_rows.astype(jnp.float32).astype(jnp.bfloat16)
        product = jnp.dot(left, ones, preferred_element_type=jnp.float32).astype(jnp.int32)
        sums.append(jnp.concatenate([product[i : i + 1] for i in range(len(tiles))], axis=1))
    return sums[0], sums[1]


def _n_extra_bits(token: jax.Array) -> jax.Array:
    """Count the extra bits after tokens, as ``tokens.n_extra_bits``."""
    large = (jnp.maximum(token, N_SMALL_TOKENS) - N_SMALL_TOKENS) >> 1
    return jnp.where(token == ESCAPE, ESCAPE_BITS, large)


def _from_token(token: jax.Array, extra: jax.Array, n_bits: jax.Array) -> jax.Array:
    """Make integers of tokens and extra bits, as ``tokens.from_token``."""
    large = jnp.left_shift(1, n_bits) + extra + (N_SMALL_TOKENS >> 1)
    magnitude = jnp.where(token < N_SMALL_TOKENS, (token + 1) >> 1, large)
    coded = jnp.where(token & 1 == 1, -magnitude, magnitude)
    return jnp.where(token == ESCAPE, extra - (1 << ESCAPE_BITS - 1), coded)


def _pop_bits(states: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take the low ``width`` bits from states: the bits, and the states without refill."""
    return states & jnp.left_shift(1, width) - 1, _shift_right(states, width)


def _shift_right(array: jax.Array, n_bits: jax.Array | int) -> jax.Array:
    """Shift the bits of int32 to the right, as if there were no sign."""
    return lax.shift_right_logical(array, jnp.broadcast_to(jnp.int32(n_bits), array.shape))
