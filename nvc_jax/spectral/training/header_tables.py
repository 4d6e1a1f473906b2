"""Tables of block headers by their contexts: which table codes the classes and first coefficients of each.

Both are fitted by Lloyd's algorithm in bits: every context of every class takes the table that codes its
tokens in the fewest bits, and every table is that of the tokens that it then codes. Tables of classes by the
class before stay as they are, because the encoder decides by them; so further ones are fitted.
"""

from collections.abc import Callable

import numpy as np

from nvc_jax.spectral.header_contexts import N_LEVELS
from nvc_jax.spectral.training.context_tables import token_bits
from nvc_jax.spectral.training.geometric import smooth_counts

_N_ROUNDS = 12
"""Rounds of Lloyd's algorithm, at most. No measurement of this and of the other numbers is on record."""
_OTHER_TABLE_BITS = 3.0
"""Bits that another table than the own one has to save: contexts of few tokens stay with it."""
_OWN_PRIOR = 5
"""Tokens by the own table that are added to those of a context before its loss by that table is computed."""
_PRIOR = 50
"""Tokens by the common distribution that are added to the counts of each table."""

Tables = Callable[[np.ndarray], np.ndarray]
"""Computes the bits of tokens (tables, 64) by tables that get these counts."""


def levels_of_classes(bits_of_zeros: np.ndarray) -> np.ndarray:
    """Order classes by energy: int32 (K,), from 0 to N_LEVELS − 1.

    Args:
        bits_of_zeros: (K,), bits of a block of zeros in each class; the more, the higher the energy.
    """
    n_classes = len(bits_of_zeros)
    place = np.empty(n_classes, np.int64)
    place[np.argsort(bits_of_zeros, kind="stable")] = np.arange(n_classes)
    return (place * N_LEVELS // n_classes).astype(np.int32)


def fit_class_tables(counts: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit further tables of classes by contexts.

    Args:
        counts: (C, K + 1, 64), number of times that each class is coded, by context and class before.
        own: (K + 1, 64), counts by the class before, smoothed: all classes have some.

    Returns:
        int32 (C, K + 1), rows in the tables ``own`` and further ones; and the counts of these, (K − 1, 64),
        smoothed.
    """
    n_rows, n_classes = len(own), len(own) - 1
    flat = counts.reshape(-1, counts.shape[-1])
    home = np.tile(np.arange(n_rows), len(counts))

    def further(sums: np.ndarray) -> np.ndarray:
        return smooth_counts(sums[n_rows:], _PRIOR, n_classes)

    def bits(sums: np.ndarray) -> np.ndarray:
        return _plain_bits(np.concatenate([own, further(sums)]))

    n_more = n_classes - 1
    seeds = _seed(flat, home, _plain_bits(own), n_more)
    rows = _share_tables(flat, seeds, home, n_rows + n_more, bits)
    sums = _sum_by_table(flat, rows, n_rows + n_more)
    return rows.reshape(counts.shape[:-1]).astype(np.int32), further(sums)


def fit_first_tables(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share the tables of first coefficients among contexts.

    Args:
        counts: (C, K, 64), number of times that each token is coded, by context and class.

    Returns:
        int32 (C, K), the table of each, from 0; and the counts of the tables, (K, 64).
    """
    n_classes, n_tokens = counts.shape[1:]
    flat = counts.reshape(-1, n_tokens)
    home = np.tile(np.arange(n_classes), len(counts))

    def bits(sums: np.ndarray) -> np.ndarray:
        return token_bits(smooth_counts(sums, _PRIOR, n_tokens - 1))

    rows = _share_tables(flat, home, home, n_classes, bits)
    return rows.reshape(counts.shape[:-1]).astype(np.int32), _sum_by_table(flat, rows, n_classes)


def _plain_bits(counts: np.ndarray) -> np.ndarray:
    """Compute the bits of tokens by tables of counts; none for tokens that a table does not have."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals > 0, totals, 1)
    return -np.log2(np.where(shares > 0, shares, 1))


def _sum_by_table(counts: np.ndarray, rows: np.ndarray, n_tables: int) -> np.ndarray:
    """Sum counts (n, 64) by the tables that code them."""
    sums = np.zeros((n_tables, counts.shape[1]))
    np.add.at(sums, rows, counts)
    return sums


def _seed(counts: np.ndarray, home: np.ndarray, bits: np.ndarray, n_more: int) -> np.ndarray:
    """Give contexts further tables: tables, int (n,).

    Each goes to the context that loses most by the best of its own table and those that there are.
    """
    mixed = counts + _OWN_PRIOR * np.where(bits[home] > 0, 2.0 ** -bits[home], 0)
    of_mixed = _plain_bits(mixed)
    least, spent = (counts * of_mixed).sum(axis=1), (counts * bits[home]).sum(axis=1)
    rows = home.copy()
    for row in range(len(bits), len(bits) + n_more):
        chosen = np.argmax(spent - least)
        # All tables of classes have all classes.
        by_chosen = counts @ of_mixed[chosen]
        rows[by_chosen < spent] = row
        spent = np.minimum(spent, by_chosen)
    return rows


def _share_tables(
    counts: np.ndarray, rows: np.ndarray, home: np.ndarray, n_tables: int, bits: Tables
) -> np.ndarray:
    """Share tables among contexts, int (n,); at the beginning they have those of ``rows``."""
    is_other = np.arange(n_tables)[None] != home[:, None]
    for _ in range(_N_ROUNDS):
        costs = counts @ bits(_sum_by_table(counts, rows, n_tables)).T + _OTHER_TABLE_BITS * is_other
        before, rows = rows, costs.argmin(axis=1)
        if np.array_equal(rows, before):
            break
    return rows
