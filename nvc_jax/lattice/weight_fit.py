"""Fit of prediction weights to samples, by iteratively reweighted least squares.

The weights of a row make the logarithms of the residuals small, which are about the bits of the codes. The
arithmetic is in float32, and float64 for the equations, in a stated order, so that the kernel finds the same
weights.
"""

import math

import numpy as np

from nvc_jax.lattice.geometry import FAR_GROUPS, KNOWN_GROUPS, N_GROUPS
from nvc_jax.lattice.samples import ROWS, SUM_BITS, Samples
from nvc_jax.lattice.weights import MAX_TOTAL, ONE, default_weights

_STEPS = 12
"""Most steps of a fit."""
_SMALL_RESIDUAL, _LARGE_RESIDUAL = 0.5, 8.0
"""Residuals, in steps of the codes, up to which the squares count, and from which on the logarithms; in
volumes of much noise they are larger."""
_CHANGE = 0.25 / ONE
"""Change of all weights below which a fit has ended."""
_LEAST_SAMPLES = 4
"""Samples for each weight without which a row has the default weights."""
_SMALLEST_SHARE, _SMALLEST = 1e-6, 1e-9
"""Addition to the diagonal of the equations: a share of its sum, and at least so much."""
_N_SUMS = 16
"""Partial sums: sample i is added to the sum i mod 16, and then one half of the sums to the other."""
_OF_TYPICAL = 4
"""The typical residual is the median of every fourth."""


def fit_rows(samples: Samples, fraction_bits: int) -> np.ndarray:
    """Fit the weights of all rows, int32 (len(ROWS), N_GROUPS)."""
    rows = []
    for row, (_, number) in enumerate(ROWS):
        targets, sums = samples.of_row(row)
        if len(targets) < _LEAST_SAMPLES * sums.shape[1]:
            rows.append(default_weights()[number])
        else:
            numbers = [group.number for group in KNOWN_GROUPS[number]]
            rows.append(_quantize(_fit(targets, sums, np.float32(1 << fraction_bits)), numbers))
    return np.stack(rows)


def _fit(targets: np.ndarray, sums: np.ndarray, step: np.float32) -> np.ndarray:
    """Fit the weights of all groups of a row but the first, float32; those of a row sum to 1."""
    scale, n_padded = np.float32(1 << SUM_BITS), -len(targets) % _N_SUMS
    wanted = ((targets << SUM_BITS) - sums[:, 0]).astype(np.float32) / scale
    differences = (sums[:, 1:] - sums[:, :1]).T.astype(np.float32) / scale
    unknowns = np.pad(np.vstack([differences, wanted]), [(0, 0), (0, n_padded)])
    importance = _first_importance(sums.T.astype(np.float32), step)
    solution = np.zeros(len(differences), np.float32)
    for _ in range(_STEPS):
        equations = _weighted_sums(unknowns, np.pad(importance, (0, n_padded)))
        found = _solve(equations)
        if found is None:
            break
        last, solution = solution, found
        if np.abs(solution - last).max() < np.float32(_CHANGE):
            break
        residual = np.zeros(len(wanted), np.float32)
        for difference, weight in zip(differences, solution, strict=True):
            residual = residual + difference * weight
        residual = np.abs(wanted - residual)
        typical = np.sort(residual[::_OF_TYPICAL])[-(-len(residual) // _OF_TYPICAL) // 2]
        small = max(np.float32(_SMALL_RESIDUAL) * step, typical / np.float32(2))
        large = max(np.float32(_LARGE_RESIDUAL) * step, typical * np.float32(2))
        # The logarithm's derivative, divided by the residual, is the weight of the residual's square.
        importance = np.float32(1) / (np.maximum(residual, small) * (residual + large))
    return solution


def _first_importance(sums: np.ndarray, step: np.float32) -> np.ndarray:
    """Weights of the first step, float32 (n,): samples in smooth surroundings count more."""
    n_groups, total, activity = np.float32(len(sums)), sums[0], np.zeros(sums.shape[1], np.float32)
    for own in sums[1:]:
        total = total + own
    center = total / n_groups
    for own in sums:
        activity = activity + np.abs(own - center)
    spread = activity / (n_groups * np.float32(1 << SUM_BITS)) + step
    return np.float32(1) / (spread * spread)


def _weighted_sums(unknowns: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """Sums of importance · unknown · unknown, float32 (m, m); of pairs i > j only."""
    n, equations = len(unknowns), np.zeros((len(unknowns),) * 2, np.float32)
    for i in range(n):
        scaled = importance * unknowns[i]
        # Sums along the first of two axes are made in the axis's order.
        sums = (scaled * unknowns[: i + 1]).reshape(i + 1, -1, _N_SUMS).transpose(1, 0, 2)
        partial = np.add.reduce(np.ascontiguousarray(sums), axis=0)
        while partial.shape[1] > 1:
            half = partial.shape[1] // 2
            partial = partial[:, :half] + partial[:, half:]
        equations[i, : i + 1] = partial[:, 0]
    return equations


def _solve(equations: np.ndarray) -> np.ndarray | None:
    """Solve normal equations, whose last row is the right side, by Cholesky's method: float32 (n,).

    Returns:
        The solution; None where rounding has left none.
    """
    rows = equations.astype(np.float64).tolist()
    n = len(rows) - 1
    trace = 0.0
    for i in range(n):
        trace += rows[i][i]
    for i in range(n):
        rows[i][i] += _SMALLEST_SHARE * trace + _SMALLEST
    for i in range(n + 1):
        for j in range(min(i, n - 1) + 1):
            rest = rows[i][j]
            for k in range(j):
                rest -= rows[i][k] * rows[j][k]
            if i > j:
                rows[i][j] = rest / rows[j][j]
            elif rest > 0:
                rows[i][i] = math.sqrt(rest)
            else:
                return None
    solution = rows[n][:n]
    for i in reversed(range(n)):
        for k in range(i + 1, n):
            solution[i] -= rows[k][i] * solution[k]
        solution[i] /= rows[i][i]
    return np.array(solution, np.float32)


def _quantize(solution: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Weights in fixed point, int32 (N_GROUPS,), from those of all groups but the first."""
    row = np.zeros(N_GROUPS, np.int32)
    row[numbers[1:]] = np.clip(np.rint(solution * np.float32(ONE)), -128, 127)
    row[numbers[0]] = ONE - row.sum()
    if np.abs(row).sum() > MAX_TOTAL:
        row[:] = 0
        row[next(number for number in numbers if number not in FAR_GROUPS)] = ONE
    return row
