"""Prediction weights: the default ones, and the bytes of others.

The weights of a phase's groups of neighbours sum to 1, so the first is not stored.
"""

import functools

import numpy as np

from nvc_jax.lattice.geometry import KNOWN_GROUPS, N_GROUPS, N_LEVEL_GROUPS, PHASES
from nvc_jax.lattice.prediction import WEIGHT_BITS

ONE = 1 << WEIGHT_BITS
"""A weight of 1."""
MAX_TOTAL = 255
"""Largest sum of a phase's absolute weights: sums of weighted neighbours then fit into int32."""
BYTES_PER_LEVEL_GROUP = sum(len(groups) - 1 for groups in KNOWN_GROUPS)
"""Stored weights of a group of levels, one byte each."""


@functools.cache
def default_weights() -> np.ndarray:
    """Weights of cubic interpolation along each axis with two known neighbours, averaged; int32 (7, 10).

    The array is not to be written to.
    """
    weights = np.zeros((len(PHASES), N_GROUPS), np.int32)
    for row, phase in zip(weights, PHASES, strict=True):
        axes = np.flatnonzero(phase)
        row[axes] = 72 // len(axes)
        row[axes + 3] = -(8 // len(axes))
        row[axes[0]] += ONE - row.sum()
    weights.flags.writeable = False
    return weights


@functools.cache
def default_rows() -> np.ndarray:
    """Make the default weights of all groups of levels, one below the other; int32 (rows, 10).

    The array is not to be written to.
    """
    rows = np.tile(default_weights(), (N_LEVEL_GROUPS, 1))
    rows.flags.writeable = False
    return rows


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
