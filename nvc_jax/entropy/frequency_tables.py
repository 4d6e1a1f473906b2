"""Frequency tables of tokens in the forms that the rANS coder looks up."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.tokens import N_TOKENS

PRECISION = 12
"""Bits of a table's frequencies, which sum to 2**PRECISION."""

FREQUENCY_MASK = (1 << 16) - 1


class Tables(NamedTuple):
    """Frequency tables in the forms that coding wants; one row for each table.

    Attributes:
        tokens: uint32 (rows, N_TOKENS): for each token its frequency, and the sum of those before, packed.
        slots: uint32 (rows, 2**PRECISION): for each slot its token, frequency − 1 and offset, packed.
            None where few tokens are decoded.
    """

    tokens: jax.Array
    slots: jax.Array | None


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


def bits_of_frequencies(frequencies: jax.Array) -> jax.Array:
    """Bits that coding a token of each frequency takes: PRECISION − log2(frequency), float32.

    Args:
        frequencies: any shape and dtype. Infinity is returned for a frequency of 0.
    """
    return PRECISION - jnp.log2(frequencies.astype(jnp.float32))


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
