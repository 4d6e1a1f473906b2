"""Frequency tables of the contexts, fitted to a chunk, and their bytes.

Codes are coded by tables that depend on their contexts. A chunk has fewer tables than contexts: successive
contexts share a table where tables of their own would take more bits than they save. A table is stored as its
*hazards*: for each class of magnitudes from 0 on, the share that it has of the codes that are in no smaller
class, as one of 32 odds. In the same way it states the share of negative codes among all but 0.
"""

import functools
from typing import NamedTuple

import numpy as np

from nvc_jax.entropy.frequency_tables import quantize_frequencies
from nvc_jax.entropy.geometric_distributions import powers_of_cube_root
from nvc_jax.entropy.tokens import ESCAPE, N_TOKENS, token_ranges
from nvc_jax.lattice.geometry import N_LEVEL_GROUPS
from nvc_jax.lattice.prediction import CONTEXTS_PER_CLASS, CONTEXTS_PER_GROUP, N_RANGES
from nvc_jax.lattice.table_sharing import CONTEXT_BITS, COUNT_BITS, HAZARD_BITS, share_tables

FIRST_FLAG_CONTEXT = N_LEVEL_GROUPS * CONTEXTS_PER_GROUP
"""First context of flags; those before it are contexts of codes."""
N_CONTEXTS = FIRST_FLAG_CONTEXT + N_LEVEL_GROUPS * N_RANGES
"""Number of contexts."""
MAX_TABLES = 160
"""Most tables of a chunk."""
N_CLASSES = N_TOKENS // 2
"""Classes of magnitudes: one for 0, then one for each pair of tokens but the last, which is the escape's."""

_N_ODDS = 1 << HAZARD_BITS
_SHARE_UNITS, _ESCAPE_SHARE = 2.0**30, 2.0**14
"""Probability 1, and that of the escape, in the units in which probabilities are rounded."""


class Merging(NamedTuple):
    """Contexts that share tables from the outset.

    Attributes:
        levels: whether the groups of levels share the tables of codes and those of flags.
        classes: whether the classes of phases share tables.
    """

    levels: bool
    classes: bool


class ContextTables(NamedTuple):
    """Tables of a chunk.

    Attributes:
        merging: contexts that share tables from the outset.
        starts: int64 (tables,), first context of each table; ascending, the first is 0.
        signs: int64 (tables,), indices of the odds of negative codes.
        hazards: for each table the indices of its odds, from the class of 0 on.
    """

    merging: Merging
    starts: np.ndarray
    signs: np.ndarray
    hazards: list[np.ndarray]


@functools.cache
def _odds() -> np.ndarray:
    """Hazards as probabilities, float64 (32,)."""
    odds = powers_of_cube_root(np.arange(_N_ODDS) - _N_ODDS // 2)
    return odds / (1 + odds)


def class_of(codes: np.ndarray) -> np.ndarray:
    """Class of each code's magnitude: 0 … 8 for magnitudes up to 8, then one for each power of two."""
    magnitude = np.abs(codes)
    exponent = np.frexp(np.maximum(magnitude - 8, 1).astype(np.float64))[1] - 1
    return np.where(magnitude <= 8, magnitude, 9 + exponent)


def merged_context(merging: Merging) -> np.ndarray:
    """Context as which each context counts, int64 (N_CONTEXTS,)."""
    context = np.arange(N_CONTEXTS)
    is_flag = context >= FIRST_FLAG_CONTEXT
    if merging.levels:
        flag = FIRST_FLAG_CONTEXT + (context - FIRST_FLAG_CONTEXT) % N_RANGES
        context = np.where(is_flag, flag, context % CONTEXTS_PER_GROUP)
    if merging.classes:
        group, rest = np.divmod(context, CONTEXTS_PER_GROUP)
        same = group * CONTEXTS_PER_GROUP + rest % CONTEXTS_PER_CLASS
        context = np.where(is_flag, context, same)
    return context


def _merge_contexts(counts: np.ndarray, merging: Merging) -> np.ndarray:
    """Add up the rows of contexts that count as one, see ``merged_context``; those of the others are 0."""
    merged = counts.copy()
    codes = merged[:FIRST_FLAG_CONTEXT].reshape(N_LEVEL_GROUPS, -1, CONTEXTS_PER_CLASS, counts.shape[1])
    flags = merged[FIRST_FLAG_CONTEXT:].reshape(N_LEVEL_GROUPS, N_RANGES, counts.shape[1])
    if merging.levels:
        for of_levels in (codes, flags):
            of_levels[0] = of_levels.sum(0)
            of_levels[1:] = 0
    if merging.classes:
        codes[:, 0] = codes.sum(1)
        codes[:, 1:] = 0
    return merged


def rows_of_contexts(tables: ContextTables) -> np.ndarray:
    """Table of each context, int32 (N_CONTEXTS,)."""
    context = merged_context(tables.merging)
    return (np.searchsorted(tables.starts, context, side="right") - 1).astype(np.int32)


def frequencies_of(tables: ContextTables) -> np.ndarray:
    """Compute the frequency tables, uint16 (tables, N_TOKENS)."""
    n_hazards, padded = _pad_hazards(tables)
    is_stated = np.arange(N_CLASSES) < n_hazards[:, None]
    # The class after the last hazard has all that is left, and those behind it nothing.
    hazard = np.where(is_stated, _odds()[padded], 1.0)
    reached = np.cumprod(np.column_stack([np.ones(len(hazard)), 1 - hazard[:, :-1]]), axis=1)
    probability, negative = reached * hazard, _odds()[tables.signs][:, None]
    shares = np.zeros((len(hazard), N_TOKENS))
    shares[:, 0] = probability[:, 0]
    shares[:, 1:-1:2], shares[:, 2:-1:2] = probability[:, 1:] * negative, probability[:, 1:] * (1 - negative)
    shares = np.floor(shares * _SHARE_UNITS)
    shares[:, ESCAPE] = _ESCAPE_SHARE
    return quantize_frequencies(shares)


def fit_tables(counts: np.ndarray) -> tuple[ContextTables, float]:
    """Choose the tables of a chunk.

    Args:
        counts: int64 (N_CONTEXTS, N_CLASSES + 1), codes of each class in each context, and the negative ones.

    Returns:
        The tables, and the estimated bits of all codes and of the tables.
    """
    counts = _used_classes(counts)
    options = []
    for merging in (Merging(True, True), Merging(True, False), Merging(False, False)):
        options.append((merging, share_tables(_merge_contexts(counts, merging), MAX_TABLES)))
    merging, runs = min(options, key=lambda option: float(option[1].bits.sum()))
    totals = runs.counts
    signs = _nearest_odds(totals[:, -1], totals[:, 1:-1].sum(1))
    tables = ContextTables(merging, runs.starts, signs, _fit_hazards(totals[:, :-1]))
    return tables, float(runs.bits.sum() + _extra_bits(totals))


def estimate_bits(counts: np.ndarray) -> float:
    """Estimate the bits of codes and tables, without choosing the best of all tables.

    Args:
        counts: see ``fit_tables``.
    """
    if not counts.any():
        return 0.0
    runs = share_tables(_used_classes(counts), MAX_TABLES)
    return float(runs.bits.sum() + _extra_bits(runs.counts))


def _used_classes(counts: np.ndarray) -> np.ndarray:
    """Leave out the classes that are larger than those of all codes."""
    used = 1 + int(np.max(np.flatnonzero(counts[:, :N_CLASSES].any(0)), initial=1))
    return np.delete(counts, np.s_[used:N_CLASSES], axis=1)


def _extra_bits(counts: np.ndarray) -> float:
    """Bits that tell the magnitudes of codes within their classes."""
    of_class = counts[:, :-1].sum(0)
    return float(of_class @ np.log2(token_ranges()[1][::2][: len(of_class)]))


def _fit_hazards(counts: np.ndarray) -> list[np.ndarray]:
    """Indices of the odds next to each table's hazards, up to the last class that has codes."""
    reached = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    odds = _nearest_odds(counts, reached)
    last = counts.shape[1] - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)
    return [row[: max(1, n)] for row, n in zip(odds, last.tolist(), strict=True)]


def _nearest_odds(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Indices of the odds next to shares, int64; the midpoints are those of the logarithms."""
    share = (np.asarray(part) + 0.02) / (np.asarray(whole) + 0.04)
    logits = np.log(_odds() / (1 - _odds()))
    return np.searchsorted((logits[1:] + logits[:-1]) / 2, np.log(share / (1 - share)))


def pack_tables(tables: ContextTables) -> bytes:
    """Bytes of the tables; the mergings are not among them."""
    n_hazards, hazards = _pad_hazards(tables)
    numbers = np.column_stack([tables.starts, n_hazards, tables.signs, hazards])
    widths = np.array([CONTEXT_BITS, COUNT_BITS, HAZARD_BITS, *[HAZARD_BITS] * N_CLASSES])
    columns = np.arange(CONTEXT_BITS)[::-1]
    bits = (numbers[:, :, None] >> columns & 1).astype(np.uint8)
    is_stated = np.arange(-3, N_CLASSES) < n_hazards[:, None]
    return np.packbits(bits[is_stated[:, :, None] & (columns < widths[:, None])]).tobytes()


def _pad_hazards(tables: ContextTables) -> tuple[np.ndarray, np.ndarray]:
    """Number of each table's hazards, int64 (tables,), and the hazards, int64 (tables, N_CLASSES), then 0."""
    n_hazards = np.array([len(hazards) for hazards in tables.hazards])
    padded = np.zeros((len(n_hazards), N_CLASSES), np.int64)
    padded[np.arange(N_CLASSES) < n_hazards[:, None]] = np.concatenate(tables.hazards)
    return n_hazards, padded


def unpack_tables(stored: bytes, n_tables: int, merging: Merging) -> tuple[ContextTables, int]:
    """Read tables; the inverse of ``pack_tables``.

    Returns:
        The tables, and their number of bytes.

    Raises:
        ValueError: the bytes are too few or cannot be of tables.
    """
    if not 1 <= n_tables <= MAX_TABLES:
        raise ValueError(f"a lattice stream states {n_tables} tables")
    longest = n_tables * (CONTEXT_BITS + COUNT_BITS + HAZARD_BITS * (1 + N_CLASSES))
    bits = np.unpackbits(np.frombuffer(stored[: -(-longest // 8)], np.uint8))
    digits = (bits + ord("0")).tobytes()
    position, firsts, counts, starts, signs = 0, [], [], [], []

    def read(width: int) -> int:
        nonlocal position
        position += width
        if position > len(digits):
            raise ValueError("a lattice stream ends within its tables")
        return int(digits[position - width : position], 2)

    for _ in range(n_tables):
        starts.append(read(CONTEXT_BITS))
        counts.append(read(COUNT_BITS))
        signs.append(read(HAZARD_BITS))
        firsts.append(position)
        position += HAZARD_BITS * counts[-1]
    if position > len(digits):
        raise ValueError("a lattice stream ends within its tables")
    hazards = _read_hazards(bits, np.array(firsts), np.array(counts))
    ascending = np.diff(starts) > 0
    if starts[0] != 0 or not ascending.all() or starts[-1] >= N_CONTEXTS or min(map(len, hazards)) == 0:
        raise ValueError(f"tables of a lattice stream begin at contexts {starts[:8]} …")
    return ContextTables(merging, np.array(starts), np.array(signs), hazards), -(-position // 8)


def _read_hazards(bits: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Read the hazards of all tables, given the first bit of each table's and their number."""
    ends = np.cumsum(counts)
    within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    places = np.repeat(firsts, counts) + HAZARD_BITS * within
    columns = np.arange(HAZARD_BITS)
    return np.split(bits[places[:, None] + columns] @ (1 << columns[::-1]), ends[:-1])
