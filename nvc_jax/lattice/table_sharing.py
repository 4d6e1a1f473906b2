"""Tables that successive contexts share, where tables of their own would take more bits than they save.

The bits are estimated in float64, by operations that IEEE 754 rounds correctly and in a stated order, so that
the kernel shares the same tables, and so does every machine.
"""

import ctypes
from typing import NamedTuple

import numpy as np

from nvc_jax.native.host_kernels import call_on_host, has_host_kernels

CONTEXT_BITS, COUNT_BITS, HAZARD_BITS = 10, 5, 5
"""Bits of a table's first context, its number of hazards and each hazard."""
_LOG2_E = 1.4426950408889634
_N_TERMS = 10
"""Terms of the series of the logarithm: it is off by less than 1e-15."""


class Runs(NamedTuple):
    """Runs of successive contexts that share a table.

    Attributes:
        starts: int64 (runs,), first context of each; ascending, the first is 0.
        counts: int64 (runs, classes + 1), see ``share_tables``.
        bits: float64 (runs,), of the codes and of the table of each.
    """

    starts: np.ndarray
    counts: np.ndarray
    bits: np.ndarray


def share_tables(counts: np.ndarray, max_tables: int, *, by_kernel: bool | None = None) -> Runs:
    """Join contexts to at most ``max_tables`` runs.

    Args:
        counts: int64 (contexts, classes + 1), codes of each class of magnitudes in each context, and the
            negative ones; without the largest classes if these have no codes.
        max_tables: most runs.
        by_kernel: whether to use the kernel; by default where there is one.
    """
    merge = _merge_by_kernel if (has_host_kernels() if by_kernel is None else by_kernel) else merge_runs
    penalty = 1.0
    runs = merge(counts, penalty)
    while len(runs.starts) > max_tables:
        penalty *= 2
        runs = merge(counts, penalty)
    return runs if penalty == 1 else runs._replace(bits=_bits(runs.counts, 1.0))


def merge_runs(counts: np.ndarray, penalty: float) -> Runs:
    """Join neighbouring runs while that saves bits: the specification of the kernel.

    Args:
        counts: see ``share_tables``.
        penalty: factor of the bits of tables.
    """
    starts = np.flatnonzero(counts[:, :-1].sum(1))
    runs = counts[starts]
    starts[0] = 0
    own = _bits(runs, penalty)
    joined = _bits(runs[:-1] + runs[1:], penalty)
    while True:
        gain = np.zeros(len(own) + 1)
        np.subtract(own[:-1] + own[1:], joined, out=gain[1:-1])
        # A run joins the next one where neither has a better neighbour.
        joins = gain > 0
        joins[1:] &= gain[1:] > gain[:-1]
        joins[:-1] &= gain[:-1] >= gain[1:]
        if not joins.any():
            return Runs(starts, runs, own)
        first = np.flatnonzero(~joins[:-1])
        own[:-1] = np.where(joins[1:-1], joined, own[:-1])
        starts, runs, own = starts[first], np.add.reduceat(runs, first), own[first]
        # Only pairs with a run that has grown are new.
        has_grown = joins[1:][first]
        joined = np.append(joined, 0.0)[first][:-1]
        is_new = has_grown[:-1] | has_grown[1:]
        joined[is_new] = _bits(runs[:-1][is_new] + runs[1:][is_new], penalty)


def _bits(counts: np.ndarray, penalty: float) -> np.ndarray:
    """Estimate the bits of runs of contexts, each with a table of its own, without extra bits of tokens."""
    classes, negative = counts[:, :-1], counts[:, -1]
    total, nonzero = classes.sum(1), classes[:, 1:].sum(1)
    n_hazards = classes.shape[1] - np.argmax(classes[:, ::-1] > 0, axis=1) - 1
    entropy = _plogp(total)
    for own in classes.T:
        entropy -= _plogp(own)
    entropy += _plogp(nonzero)
    entropy -= _plogp(negative)
    entropy -= _plogp(nonzero - negative)
    return entropy + penalty * (CONTEXT_BITS + COUNT_BITS + HAZARD_BITS * (1 + n_hazards))


def _plogp(counts: np.ndarray) -> np.ndarray:
    """Counts times their binary logarithms, 0 for 0; by the series of the area hyperbolic tangent."""
    mantissa, exponent = np.frexp(np.maximum(counts, 1).astype(np.float64))
    is_low = mantissa < 0.75
    mantissa = np.where(is_low, 2 * mantissa, mantissa)
    ratio = (mantissa - 1) / (mantissa + 1)
    square, series = ratio * ratio, np.zeros(len(counts))
    for term in reversed(range(_N_TERMS)):
        series = series * square + 1.0 / (2 * term + 1)
    return counts * ((exponent - is_low) + 2 * _LOG2_E * ratio * series)


def _merge_by_kernel(counts: np.ndarray, penalty: float) -> Runs:
    """Call the kernel; see ``merge_runs``."""
    counts = np.ascontiguousarray(counts)
    starts, totals, bits = np.empty(len(counts), np.int64), np.empty_like(counts), np.empty(len(counts))
    arguments = (counts, *counts.shape, penalty, starts, totals, bits)
    n_runs = call_on_host("nvc_merge_runs", *arguments, result=ctypes.c_int64)
    return Runs(starts[:n_runs], totals[:n_runs], bits[:n_runs])
