"""Prediction of the points of a level, phase by phase, and the contexts of their codes.

Everything is int32 arithmetic: an encoder and a decoder on any two devices compute the same values.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.lattice.geometry import (
    CELL,
    FAR_GROUPS,
    HALO,
    KNOWN_GROUPS,
    PHASE_CLASSES,
    PHASES,
    Group,
)

WEIGHT_BITS = 6
"""Fraction bits of prediction weights."""
ACTIVITY_THRESHOLDS = (1, 2, 4, 6, 10, 15, 22, 32, 48, 72, 112, 180, 300, 600, 1500)
"""Limits of the mean difference of neighbours from the prediction, in 32nds of a step of the codes."""
_ACTIVITY_BITS = 5
MAGNITUDE_THRESHOLDS = (1, 13, 38, 96, 256)
"""Limits of the mean magnitude of the neighbours' codes, in 64ths."""
_MAGNITUDE_BITS = 6
MAX_CONTEXT_MAGNITUDE = 255
"""Magnitude that larger ones count as in the context."""
RANGE_THRESHOLDS = (1, 2, 4, 8, 16, 32, 64)
"""Limits of the range of a cell's known values, in quarters of a step of the codes."""
_RANGE_BITS = 2

N_ACTIVITIES = len(ACTIVITY_THRESHOLDS) + 1
N_MAGNITUDES = len(MAGNITUDE_THRESHOLDS) + 1
N_RANGES = len(RANGE_THRESHOLDS) + 1
CONTEXTS_PER_CLASS = N_ACTIVITIES * N_MAGNITUDES
"""Contexts of the phases of one class."""
CONTEXTS_PER_GROUP = 3 * CONTEXTS_PER_CLASS
"""Contexts of the phases of a group of levels."""

PHASE_BITS = np.array([(0, 0, 0), *PHASES], np.int32)
PHASE_NUMBERS = PHASE_BITS @ np.array([4, 2, 1], np.int32)


class Rules(NamedTuple):
    """Parameters of prediction, the same for all levels but for the weights.

    Attributes:
        fraction_bits: int32, fraction bits of the values; a step of the codes is 2**fraction_bits.
        low, high: int32, limits of the predictions.
        valid: int32 (3,), sides of the volume; points beyond it are not coded.
    """

    fraction_bits: Any
    low: Any
    high: Any
    valid: Any


class Pass(NamedTuple):
    """A pass of a level, before its codes are known.

    Attributes:
        number: int32, 0 for the cells' flags, then 1 … 7.
        predicted: int32 (z, y, x), predictions of the phase; in the first pass the known values.
        context: int32 (z, y, x), in the phases 0 … CONTEXTS_PER_GROUP − 1, in the first pass the range's.
        items: bool (z, y, x), points that may be coded: those within the volume, in the first pass the first
            point of each cell.
    """

    number: jax.Array
    predicted: jax.Array
    context: jax.Array
    items: jax.Array


def predictor(number: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Make the function that predicts a phase and computes the contexts of its codes."""
    groups = KNOWN_GROUPS[number]

    def predict(
        values: jax.Array, magnitudes: jax.Array, weights: jax.Array, rules: Rules
    ) -> tuple[jax.Array, jax.Array]:
        weighted = sum(_scale(group) * weights[group.number] * sum(_fetch(values, group)) for group in groups)
        rounded = weighted + (1 << WEIGHT_BITS + 2) >> WEIGHT_BITS + 3
        predicted = jnp.clip(rounded, rules.low, rules.high)

        near = [group for group in groups if group.number not in FAR_GROUPS]
        total = sum(closeness(group) * len(group.neighbours) for group in near)
        activity = sum(
            closeness(group) * sum(jnp.abs(n - predicted) for n in _fetch(values, group)) for group in near
        )
        limits = [_limit(limit * total, rules, _ACTIVITY_BITS) for limit in ACTIVITY_THRESHOLDS]
        quiet = _count_reached(activity, limits)

        magnitude = sum(closeness(group) * sum(_fetch(magnitudes, group)) for group in near)
        limits = [jnp.int32(-(-limit * total >> _MAGNITUDE_BITS)) for limit in MAGNITUDE_THRESHOLDS]
        large = _count_reached(magnitude, limits)
        # Activities run up and down in turn, so that neighbouring contexts are alike.
        activity_rank = jnp.where(large & 1 == 1, N_ACTIVITIES - 1 - quiet, quiet)
        base = PHASE_CLASSES[number] * CONTEXTS_PER_CLASS
        return predicted, base + large * N_ACTIVITIES + activity_rank

    return predict


def _fetch(phases: jax.Array, group: Group) -> list[jax.Array]:
    """Cut the arrays of a group's neighbours out of the extended phases."""
    shape = [side - 2 * HALO for side in phases.shape[1:]]
    return [
        phases[neighbour.phase][
            tuple(slice(HALO + s, HALO + s + n) for s, n in zip(neighbour.shift, shape, strict=True))
        ]
        for neighbour in group.neighbours
    ]


def _scale(group: Group) -> int:
    """Factor that turns a sum over a group into eight times its mean."""
    return 8 // len(group.neighbours)


def closeness(group: Group) -> int:
    """Weight of each neighbour of a group in the context."""
    return {2: 3, 4: 2, 8: 1}[len(group.neighbours)]


def _limit(steps: int, rules: Rules, n_bits: int) -> jax.Array:
    """Limit in fixed point, at least 1, from one in units of 2**−n_bits steps of the codes."""
    return jnp.maximum(jnp.int32(steps) << rules.fraction_bits >> n_bits, 1)


def _count_reached(values: Any, limits: list[jax.Array]) -> jax.Array:
    """Count the limits that each value reaches."""
    return sum(((values >= limit).astype(jnp.int32) for limit in limits), jnp.zeros_like(values))


def range_context(even: jax.Array, rules: Rules) -> jax.Array:
    """Context of a cell's flag at each of its points: the range of the cell's known values, quantised."""
    z, y, x = (side // CELL for side in even.shape)
    cells = even.reshape(z, CELL, y, CELL, x, CELL)
    spread = cells.max((1, 3, 5)) - cells.min((1, 3, 5))
    context = _count_reached(spread, [_limit(limit, rules, _RANGE_BITS) for limit in RANGE_THRESHOLDS])
    return jnp.broadcast_to(context[:, None, :, None, :, None], cells.shape).reshape(even.shape)
