"""Frequency tables of tokens, in the forms that the rANS coder looks up."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.tokens import N_TOKENS

PRECISION = 12
"""Bits of a table's frequencies, which sum to 2**PRECISION."""

START_SHIFT = 16
"""Lowest bit of a token's first slot in an entry of ``Tables.tokens``; the frequency is below it."""
FREQUENCY_MASK = (1 << START_SHIFT) - 1
"""Bits of an entry of ``Tables.tokens`` that hold the frequency."""
SLOT_FREQUENCY_SHIFT = 6
"""Lowest bit of the frequency in an entry of ``Tables.slots``; the token is below it."""
SLOT_OFFSET_SHIFT = SLOT_FREQUENCY_SHIFT + PRECISION
"""Lowest bit of the offset in an entry of ``Tables.slots``."""


class Tables(NamedTuple):
    """Frequency tables packed for coding; one row for each table.

    In a kernel of one group the fields are references to memory.

    The frequencies of a table divide the numbers 0 … 2**PRECISION − 1, its *slots*, into one interval for
    each token, in the order of the tokens.

    Attributes:
        tokens: uint32 (rows, N_TOKENS), for each token its frequency in the low 16 bits, and above them the
            first slot of its interval.
        slots: uint32 (rows, 2**PRECISION), for each slot its token (6 bits), the token's frequency − 1
            (12 bits), and the slot's offset in the token's interval. None if the tables are for encoding or
            for decoding few tokens.
    """

    tokens: jax.Array
    slots: jax.Array | None


def quantize_frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Quantise probabilities to integer frequencies that sum to 2**PRECISION.

    A frequency is 0 only where the probability is 0.

    Args:
        probabilities: (rows, N_TOKENS), not negative, each row with a positive sum; rows need not sum to 1.

    Returns:
        uint16 (rows, N_TOKENS).

    Raises:
        ValueError: ``probabilities`` has another shape, a negative entry or an empty row.
    """
    probabilities = np.asarray(probabilities, np.float64)
    has_shape = probabilities.ndim == 2 and probabilities.shape[1] == N_TOKENS
    if not has_shape or (probabilities < 0).any() or not (probabilities.sum(1) > 0).all():
        raise ValueError(
            f"`probabilities` has shape {probabilities.shape}; it must be (rows, {N_TOKENS}), "
            "not negative, with a positive sum in each row"
        )
    least = (probabilities > 0).astype(np.int64)
    exact = probabilities / probabilities.sum(axis=1, keepdims=True) * (1 << PRECISION)
    frequencies = np.maximum(np.floor(exact).astype(np.int64), least)
    _correct_sums(frequencies, exact, least)
    return frequencies.astype(np.uint16)


def _correct_sums(frequencies: np.ndarray, exact: np.ndarray, least: np.ndarray) -> None:
    """Change rows of frequencies in place, by 1 at a time, until each sums to 2**PRECISION.

    Each change is the one that costs the fewest bits, or saves the most.
    """
    missing = (1 << PRECISION) - frequencies.sum(axis=1)
    for sign in (1, -1):
        rows = np.flatnonzero(sign * missing > 0)
        # Gains where some is missing, else the negated losses.
        worth = _worth(frequencies[rows], exact[rows], least[rows], sign)
        while rows.size:
            columns = worth.argmax(axis=1)
            frequencies[rows, columns] += sign
            missing[rows] -= sign
            changed = (rows, columns)
            worth[np.arange(len(rows)), columns] = _worth(
                frequencies[changed], exact[changed], least[changed], sign
            )
            lacks = missing[rows] != 0
            if not lacks.all():
                rows, worth = rows[lacks], worth[lacks]


def _worth(frequencies: np.ndarray, exact: np.ndarray, least: np.ndarray, sign: int) -> np.ndarray:
    """Rate a change of each frequency by ``sign``: the larger the better, −infinity where there is none."""
    worth: np.ndarray = sign * np.where(exact > 0, exact / np.maximum(frequencies, 1), 0)
    return worth if sign > 0 else np.where(frequencies > least, worth, -np.inf)


def bits_of_frequencies(frequencies: jax.Array) -> jax.Array:
    """Compute the bits that a token of each frequency takes: PRECISION − log2(frequency), float32.

    Args:
        frequencies: any shape and dtype. A frequency of 0 gives infinity.
    """
    return PRECISION - jnp.log2(frequencies.astype(jnp.float32))


def make_tables(frequencies: jax.Array, *, with_slots: bool = True) -> Tables:
    """Pack tables for coding.

    Args:
        frequencies: (rows, N_TOKENS) of any integer dtype, from ``quantize_frequencies``.
        with_slots: whether to compute ``Tables.slots``, by which many tokens are decoded faster. Few tokens
            are decoded faster without them.
    """
    frequencies = frequencies.astype(jnp.uint32)
    starts = jnp.cumsum(frequencies, axis=1, dtype=jnp.uint32) - frequencies
    tokens = frequencies | starts << jnp.uint32(START_SHIFT)
    return Tables(tokens, _pack_slots(frequencies, starts) if with_slots else None)


def _pack_slots(frequencies: jax.Array, starts: jax.Array) -> jax.Array:
    """Compute ``Tables.slots`` from frequencies and first slots, both uint32 (rows, N_TOKENS)."""
    n_rows, slot = frequencies.shape[0], jnp.arange(1 << PRECISION, dtype=jnp.uint32)[None]

    # All entries of a token are equal but for slot << SLOT_OFFSET_SHIFT. This common part is a running sum,
    # modulo 2**32, of its changes, each marked at the slot where a token starts. The marks of a token of
    # frequency 0 fall on the start of the next token, or after the last slot, where they are dropped.
    common = jnp.arange(N_TOKENS, dtype=jnp.uint32)[None]
    common = common + (frequencies - 1 << jnp.uint32(SLOT_FREQUENCY_SHIFT))
    common = common - (starts << jnp.uint32(SLOT_OFFSET_SHIFT))
    changes = jnp.diff(common, axis=1, prepend=jnp.uint32(0))
    marks = jnp.zeros((n_rows, 1 << PRECISION), jnp.uint32)
    marks = marks.at[jnp.arange(n_rows)[:, None], starts].add(changes, mode="drop")
    return jnp.cumsum(marks, axis=1, dtype=jnp.uint32) + (slot << jnp.uint32(SLOT_OFFSET_SHIFT))


def entry_of_token(tables: Tables, row: jax.Array, token: jax.Array) -> jax.Array:
    """Look up the entries of tokens, uint32 (n,), in ``Tables.tokens``."""
    return tables.tokens[row, token.astype(jnp.int32)]


def find_token(tables: Tables, row: jax.Array, slot: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the tokens in whose intervals slots lie.

    Args:
        tables: the frequency tables.
        row: int32 (n,), rows of the tables.
        slot: uint32 (n,), below 2**PRECISION.

    Returns:
        Tokens, their frequencies, and the offsets of the slots in their intervals, all uint32 (n,).
    """
    if tables.slots is None:
        return _search_token(tables, row, slot)
    entry = tables.slots[row, slot.astype(jnp.int32)]
    token = entry & jnp.uint32(N_TOKENS - 1)
    frequency = (entry >> jnp.uint32(SLOT_FREQUENCY_SHIFT) & jnp.uint32((1 << PRECISION) - 1)) + 1
    return token, frequency, entry >> jnp.uint32(SLOT_OFFSET_SHIFT)


def _search_token(tables: Tables, row: jax.Array, slot: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find tokens as ``find_token`` does, without ``Tables.slots``, by the first slots of all tokens."""
    entries = tables.tokens[row]
    # Of the tokens that start at the same slot only the last has a frequency other than 0.
    begun = entries >> jnp.uint32(START_SHIFT) <= slot[:, None]
    token = jnp.sum(begun.astype(jnp.uint32), axis=1, dtype=jnp.uint32) - 1
    entry = entry_of_token(tables, row, token)
    return token, entry & FREQUENCY_MASK, slot - (entry >> jnp.uint32(START_SHIFT))
