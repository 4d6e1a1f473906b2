"""Many steps of rANS at once, for TPUs; ``rans.push``, once for each step, has the specification.

On a TPU every operation of a loop takes more than a microsecond, however little it does, and a kernel cannot
look numbers up in a table. So all that does not depend on the states is computed before, for many steps at
once: tables, tokens and extra bits. A kernel then takes the states through these steps. Words go to their
stacks after it, those of all steps at once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy import rans
from nvc_jax.entropy.frequency_tables import (
    FREQUENCY_MASK,
    PRECISION,
    START_SHIFT,
    Tables,
    entry_of_token,
)
from nvc_jax.entropy.word_stack import GROUP_LANES, WORD_BITS

_REGISTER_LANES = 128
"""Lanes of a register of a TPU."""
_WORDS = 3
"""Most words of an integer: of the high and of the low extra bits, and of the token."""
_LOW_WORD = (1 << WORD_BITS) - 1


class Steps(NamedTuple):
    """Integers to code: int32 (steps, lanes) each, the first step first.

    Attributes:
        entries: from ``entry_of_token``; 0 where a lane codes nothing.
        extra: bits.
        n_bits: their number.
    """

    entries: jax.Array
    extra: jax.Array
    n_bits: jax.Array


def prepare_steps(tables: Tables, row: jax.Array, value: jax.Array, active: jax.Array) -> Steps:
    """Prepare the integers of some steps; arguments are those of ``rans.push``, (steps, lanes) each."""
    token, extra, n_bits = rans.coded_tokens(tables, row, value)
    entries = entry_of_token(tables, row, token)
    return Steps(*(jnp.where(active, leaf, 0).astype(jnp.int32) for leaf in (entries, extra, n_bits)))


def push_steps(coder: rans.Coder, steps: Steps, *, interpret: bool = False) -> rans.Coder:
    """Code the integers of some steps.

    Args:
        coder: the state.
        steps: from ``prepare_steps``.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.
    """
    from jax.experimental import pallas

    n_steps, n_lanes = steps.entries.shape
    n_rows = -(-n_lanes // _REGISTER_LANES)

    def in_registers(array: jax.Array) -> jax.Array:
        padding = [(0, 0)] * (array.ndim - 1) + [(0, n_rows * _REGISTER_LANES - n_lanes)]
        return jnp.pad(array, padding).reshape(*array.shape[:-1], n_rows, _REGISTER_LANES)

    states = lax.bitcast_convert_type(coder.states, jnp.int32)
    arguments = [in_registers(array) for array in (states, *steps)]
    results = [jax.ShapeDtypeStruct(array.shape, jnp.int32) for array in arguments[:3]]
    states, *words = pallas.pallas_call(_push_steps, out_shape=results, interpret=interpret)(*arguments)
    high, last = (array.reshape(n_steps, -1)[:, :n_lanes] for array in words)
    states = lax.bitcast_convert_type(states.reshape(-1)[:n_lanes], jnp.uint32)
    taken = last >> WORD_BITS
    masks = jnp.stack([taken >> index & 1 for index in range(_WORDS)])
    appended = jnp.stack([high >> WORD_BITS & _LOW_WORD, high & _LOW_WORD, last & _LOW_WORD])
    return _append(coder._replace(states=states), masks, appended)


def _append(coder: rans.Coder, masks: jax.Array, words: jax.Array) -> rans.Coder:
    """Append the words of many steps to the stacks, as ``word_stack.append_words`` does step by step.

    Args:
        coder: the state.
        masks: int32 (3, steps, lanes), 1 where a lane appends a word.
        words: int32, likewise, the words in their low 16 bits.
    """
    _, n_steps, n_lanes = masks.shape
    of_lane = jnp.sum(masks, axis=0).reshape(n_steps, -1, GROUP_LANES)
    of_group = jnp.sum(of_lane, axis=2, dtype=jnp.int32)
    # Sums by the matrix unit: of numbers of few bits, they are exact.
    of_later_lanes = _sum_exactly(of_lane, _is_later(GROUP_LANES))
    of_earlier_steps = _sum_exactly(_is_later(n_steps), of_group)
    begin = (coder.tops[None] + of_earlier_steps)[:, :, None] + of_later_lanes
    places = begin.reshape(1, n_steps, n_lanes) + jnp.cumsum(masks, axis=0, dtype=jnp.int32) - masks
    places = jnp.where(masks > 0, places, len(coder.words))
    buffer = coder.words.at[places.reshape(-1)].set(words.astype(jnp.uint16).reshape(-1), mode="drop")
    return coder._replace(words=buffer, tops=coder.tops + jnp.sum(of_group, axis=0, dtype=jnp.int32))


def _is_later(n: int) -> jax.Array:
    """Tell which rows of a matrix (n, n) have a larger index than its columns."""
    index = jnp.arange(n)
    return index[:, None] > index[None]


def _sum_exactly(left: jax.Array, right: jax.Array) -> jax.Array:
    """Multiply matrices of numbers below 256: int32."""
    product = jnp.matmul(
        left.astype(jnp.bfloat16), right.astype(jnp.bfloat16), preferred_element_type=jnp.float32
    )
    return product.astype(jnp.int32)


def _push_steps(
    start: Any, entries: Any, extra: Any, n_bits: Any, states: Any, words: Any, last: Any
) -> None:
    """Take states through some steps: the kernel.

    Args:
        start: int32 (rows, 128), the states before, whose bits are those of uint32.
        entries: of ``Steps``, int32 (steps, rows, 128).
        extra: likewise.
        n_bits: likewise.
        states: the states after, like ``start``: a result, like those that follow.
        words: of each step, the words of the high and of the low extra bits.
        last: of each step, the word of the token, and above it a bit for each of the three that there is.
    """

    def push(step: jax.Array, state: jax.Array) -> jax.Array:
        entry, bits, width = entries[step], extra[step], n_bits[step]
        n_high = jnp.maximum(width - WORD_BITS, 0)
        state, high, has_high = _push_bits(state, _shift_right(bits, WORD_BITS), n_high)
        state, low, has_low = _push_bits(state, bits, jnp.minimum(width, WORD_BITS))
        state, word, has_word = _push_token(state, entry)
        words[step] = high << WORD_BITS | low
        taken = has_high | has_low << 1 | has_word << 2
        last[step] = word | taken << WORD_BITS
        return state

    states[...] = lax.fori_loop(0, entries.shape[0], push, start[...])


def _push_bits(state: jax.Array, bits: jax.Array, width: jax.Array) -> tuple[jax.Array, ...]:
    """Shift the low ``width`` of ``bits`` into states: the states, words, and 1 where there is a word."""
    upper = _shift_right(state, WORD_BITS)
    overflows = (width > 0) & (lax.shift_right_logical(upper, WORD_BITS - width) > 0)
    pushed = jnp.where(overflows, upper, state) << width | bits & (jnp.left_shift(1, width) - 1)
    return pushed, state & _LOW_WORD, jnp.where(overflows, 1, 0)


def _push_token(state: jax.Array, entry: jax.Array) -> tuple[jax.Array, ...]:
    """Code tokens by their entries, where these are not 0; results are those of ``_push_bits``."""
    frequency, first = entry & FREQUENCY_MASK, _shift_right(entry, START_SHIFT)
    active = frequency > 0
    overflows = active & (_shift_right(state, 2 * WORD_BITS - PRECISION) >= frequency)
    upper = _shift_right(state, WORD_BITS)
    shortened = jnp.where(overflows, upper, state)
    quotient, rest = _divide(shortened, jnp.maximum(frequency, 1))
    pushed = jnp.where(active, (quotient << PRECISION) + rest + first, state)
    return pushed, state & _LOW_WORD, jnp.where(overflows, 1, 0)


def _divide(state: jax.Array, frequency: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Divide states, 32 bits without a sign, by frequencies: quotients, below 2**20, and rests.

    TPUs do not divide integers. The quotient of floats is off by at most one, as its error is below 2**−21
    of it.
    """
    upper = _shift_right(state, WORD_BITS).astype(jnp.float32)
    number = upper * (1 << WORD_BITS) + (state & _LOW_WORD).astype(jnp.float32)
    quotient = (number / frequency.astype(jnp.float32)).astype(jnp.int32)
    rest = state - quotient * frequency
    correction = jnp.where(rest < 0, -1, jnp.where(rest >= frequency, 1, 0))
    return quotient + correction, rest - correction * frequency


def _shift_right(array: jax.Array, n_bits: int) -> jax.Array:
    """Shift the bits of int32 to the right, as if there were no sign."""
    return lax.shift_right_logical(array, jnp.full_like(array, n_bits))
