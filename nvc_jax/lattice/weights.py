"""Prediction weights: fixed ones, those fitted to a chunk, and their bytes.

The weights of a phase's groups of neighbours sum to 1, so the first is not stored. They are chosen by the
encoder, for each group of levels, so that the logarithms of the differences, which are about the bits of the
codes, are small in a sample of the points.
"""

import numpy as np

from nvc_jax.lattice.geometry import (
    FAR_GROUPS,
    KNOWN_GROUPS,
    N_GROUPS,
    N_LEVEL_GROUPS,
    N_LEVELS,
    PHASES,
    Group,
    level_group,
)
from nvc_jax.lattice.prediction import WEIGHT_BITS
from nvc_jax.lattice.samples import draw_phase, reconstruction_noise

ONE = 1 << WEIGHT_BITS
"""A weight of 1."""
MAX_TOTAL = 255
"""Largest sum of a phase's absolute weights: sums of weighted neighbours then fit into int32."""
BYTES_PER_LEVEL_GROUP = sum(len(groups) - 1 for groups in KNOWN_GROUPS)
"""Stored weights of a group of levels, one byte each."""
_SAMPLES = (4000, 2000, 1000)
"""Largest number of points from which the weights of a phase are fitted, for each group of levels: the
coarser ones have fewer points to gain from."""
_STEPS = 12
"""Most steps of iteratively reweighted least squares."""
_SMALL_RESIDUAL, _LARGE_RESIDUAL = 0.5, 8.0
"""Residuals, in steps of the codes, up to which the squares count, and from which on the logarithms; in
volumes of much noise they are larger."""
_LEAST_SAVING = 1.5
"""Bits that fitted weights must save for each bit that they take."""


def default_weights() -> np.ndarray:
    """Weights of cubic interpolation along each axis with two known neighbours, averaged; int32 (7, 10)."""
    weights = np.zeros((len(PHASES), N_GROUPS), np.int32)
    for row, phase in zip(weights, PHASES, strict=True):
        axes = np.flatnonzero(phase)
        row[axes] = 72 // len(axes)
        row[axes + 3] = -(8 // len(axes))
        row[axes[0]] += ONE - row.sum()
    return weights


def pack_weights(weights: np.ndarray) -> bytes:
    """Bytes of a group of levels' weights, int32 (7, 10)."""
    stored = [
        row[group.number] for row, groups in zip(weights, KNOWN_GROUPS, strict=True) for group in groups[1:]
    ]
    return np.array(stored, np.int8).tobytes()


def unpack_weights(stored: bytes) -> np.ndarray:
    """Read weights, int32 (7, 10); the inverse of ``pack_weights``."""
    weights, read = np.zeros((len(PHASES), N_GROUPS), np.int32), iter(np.frombuffer(stored, np.int8))
    for row, groups in zip(weights, KNOWN_GROUPS, strict=True):
        for group in groups[1:]:
            row[group.number] = next(read)
        row[groups[0].number] = ONE - row.sum()
    return weights


def fit_weights(fixed: np.ndarray, fraction_bits: int, valid: np.ndarray) -> list[np.ndarray | None]:
    """Fit the weights of each group of levels, int32 (7, 10); None where the default ones do as well.

    Args:
        fixed: int32 (z, y, x), the volume in fixed point.
        fraction_bits: of the volume.
        valid: bool (z, y, x), values that count.
    """
    default, rng = default_weights(), np.random.default_rng(0)
    half = (1 << fraction_bits) / 2
    fitted: list[np.ndarray | None] = []
    for group in range(N_LEVEL_GROUPS):
        levels = [level for level in range(N_LEVELS) if level_group(level) == group]
        weights, saved = default.copy(), 0.0
        for number in range(len(PHASES)):
            target, means, n_points = draw_phase(fixed, valid, number, levels[0], _SAMPLES[group], rng)
            if len(target) < 4 * means.shape[1]:
                continue
            if fraction_bits:
                means += reconstruction_noise(rng, len(means), number, 2 * half)
            row = _fit_row(target, means, KNOWN_GROUPS[number], half * 2)
            both = np.stack([default[number], row])[:, [g.number for g in KNOWN_GROUPS[number]]]
            residuals = np.abs(target[:, None] - means @ both.T / ONE) / (2 * half)
            bits = np.log2(1 + 2 * np.maximum(residuals - 0.5, 0)).mean(0)  # below half a step the code is 0
            weights[number] = row
            saved += (bits[0] - bits[1]) * n_points
        worth = saved > 8 * BYTES_PER_LEVEL_GROUP * _LEAST_SAVING
        fitted.append(weights if worth else None)
    return fitted


def _fit_row(target: np.ndarray, means: np.ndarray, groups: tuple[Group, ...], step: float) -> np.ndarray:
    """Fit the weights of one phase, int32 (N_GROUPS,)."""
    differences, wanted = means[:, 1:] - means[:, :1], target - means[:, 0]
    activity = np.abs(means - means.mean(1, keepdims=True)).mean(1)
    importance = 1 / np.square(activity + step)
    solution = np.zeros(differences.shape[1], np.float32)
    # The logarithm's derivative, divided by the residual, is the weight of the residual's square.
    for _ in range(_STEPS):
        weighted = differences * (importance / importance.max())[:, None]
        normal = (weighted.T @ differences).astype(np.float64)
        normal += np.eye(len(normal)) * (1e-6 * np.trace(normal) + 1e-9)
        last, solution = solution, np.linalg.solve(normal, weighted.T @ wanted).astype(np.float32)
        if np.abs(solution - last).max() < 0.25 / ONE:
            break
        residual = np.abs(wanted - differences @ solution)
        typical = float(np.median(residual))
        small = max(_SMALL_RESIDUAL * step, typical / 2)
        large = max(_LARGE_RESIDUAL * step, typical * 2)
        importance = 1 / (np.maximum(residual, small) * (residual + large))
    row = np.zeros(N_GROUPS, np.int32)
    numbers = [group.number for group in groups]
    row[numbers[1:]] = np.clip(np.rint(solution * ONE), -128, 127)
    row[numbers[0]] = ONE - row.sum()
    if np.abs(row).sum() > MAX_TOTAL:
        near = [k for k in numbers if k not in FAR_GROUPS][:1]
        row[:] = 0
        row[near] = ONE
    return row
