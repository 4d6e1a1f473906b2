"""Prediction of a step from the decoded step before it: a sum of smoothed copies of that, with weights.

The copies S₀, S₁, S₂ and S₃ are the step itself and what is left as ever more detail is smoothed away: S₁ is
S₀ smoothed over neighbours, S₂ is S₁ smoothed over voxels at a distance of 2, and S₃ is S₂ at a distance of
4. What moved between both steps, and the error of the step before, is detail: the more of it there is, the
smoother the copies that get the weight.

No weight is negative, and their sum is at most 1. So two readers whose steps differ by at most d predict
values that differ by at most d, up to rounding: differences do not grow from step to step.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.core.filling import pad_with_ends
from nvc_jax.core.shapes import Shape3
from nvc_jax.core.slabs import slabs

N_COPIES = 4
"""Copies of the step before, each smoother than the one before it."""
WEIGHT_BITS = 6
"""Bits of a weight, which is stored in units of 2**-6."""
_UNITS, _LARGEST = 1 << WEIGHT_BITS, (1 << WEIGHT_BITS) - 1
"""Units that make 1, and the largest weight in units."""
WEIGHTS_BYTES = N_COPIES * WEIGHT_BITS // 8
"""Bytes of all weights."""
_ROUNDING_RESERVE = 2.0**-18
"""Share of the largest magnitudes of the step before and of the difference from its prediction, for the
roundings of float32. Smoothing along an axis is rounded twice, for S₃ 18 times in all; the sum of four
products seven times; the sum with the difference once, and the value before, which is corrected, once: each
time by a share of 2**-24 at most. Two readers may differ by twice as much, 54 × 2**-24."""
_LEAST_EIGENVALUE = 1e-9
"""Share of the mean variance of the copies that is added to each, as they may be nearly alike."""


class StepPrediction(NamedTuple):
    """Prediction of the values of a step.

    Attributes:
        weights: of the copies, as they are stored.
        values: float32, of the step's shape.
        reserve: largest difference between ``values`` and those that other devices predict.
    """

    weights: bytes
    values: np.ndarray
    reserve: float


def smoothed_copies(values: np.ndarray, n_copies: int = N_COPIES) -> list[np.ndarray]:
    """Make the first of the smoothed copies of a step.

    NumPy rounds each product and each sum, so that all readers of this package predict the same.

    Args:
        values: float32 (z, y, x).
        n_copies: number of copies, at least 1.
    """
    copies = [values]
    for number in range(n_copies - 1):
        distance = 1 << number
        smooth = _smooth(copies[-1], 0, distance)
        for slab in slabs(values.shape):
            smooth[slab] = _smooth(_smooth(smooth[slab], 1, distance), 2, distance)
        copies.append(smooth)
    return copies


def _smooth(values: np.ndarray, axis: int, distance: int) -> np.ndarray:
    """Add up a quarter of the values at a distance on both sides and half of each; ends are repeated."""
    smooth, quarters = np.float32(0.5) * values, np.float32(0.25) * values
    sums, parts = np.moveaxis(smooth, axis, 0), np.moveaxis(quarters, axis, 0)
    distance = min(distance, len(parts))
    sums[distance:] += parts[: len(parts) - distance]
    sums[:distance] += parts[:1]
    sums[: len(parts) - distance] += parts[distance:]
    sums[len(parts) - distance :] += parts[-1:]
    return smooth


def predict_step(
    before: np.ndarray, chunk: ChunkValues, padded_shape: Shape3, reserve: float
) -> StepPrediction | None:
    """Predict a step by the best weights.

    Args:
        before: decoded values of the step before: (z, y, x), a dtype whose values float32 holds.
        chunk: the step.
        padded_shape: (z, y, x) of a whole chunk.
        reserve: largest difference between ``before`` and the values of other devices.

    Returns:
        The prediction; None where the step before tells nothing of this one.
    """
    if chunk.low == chunk.high:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        copies = smoothed_copies(_extend(before, padded_shape))
        weights = _best_weights(_moments(copies, chunk))
        values = _weighted_sum(copies, weights)[tuple(map(slice, before.shape))]
    if not (any(weights) and np.isfinite(values).all()):
        return None
    largest = float(max(copies[0].max(), -copies[0].min()))
    share = sum(weights) / _UNITS
    return StepPrediction(pack_weights(weights), values, share * reserve + largest * _ROUNDING_RESERVE)


def difference_reserve(largest: float) -> float:
    """Reserve for adding differences from a prediction, of at most such a magnitude."""
    return largest * _ROUNDING_RESERVE


def predict_values(before: np.ndarray, stored: bytes, padded_shape: Shape3) -> np.ndarray:
    """Predict a step by stored weights: float32, of the shape of the step before.

    Args:
        before: decoded values of the step before: (z, y, x), a dtype whose values float32 holds.
        stored: the weights.
        padded_shape: (z, y, x) of a whole chunk.

    Raises:
        ValueError: there are no such weights.
    """
    weights = unpack_weights(stored)
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged step may be anything
        n_copies = max((number for number, weight in enumerate(weights, 1) if weight), default=1)
        copies = smoothed_copies(_extend(before, padded_shape), n_copies)
        return _weighted_sum(copies, weights[:n_copies])[tuple(map(slice, before.shape))]


def _weighted_sum(copies: list[np.ndarray], weights: tuple[int, ...]) -> np.ndarray:
    """Add up copies by weights, in units; those without weight are left out."""
    shares = [np.float32(weight / _UNITS) for weight in weights]
    total = np.zeros_like(copies[0])
    for slab in slabs(total.shape):
        for copy, share in zip(copies, shares, strict=True):
            if share:
                total[slab] += share * copy[slab]
    return total


def _extend(values: np.ndarray, padded_shape: Shape3) -> np.ndarray:
    """Extend values to a whole chunk by copies of those at the ends, float32."""
    floats = values.astype(np.float32, copy=False)
    return floats if floats.shape == padded_shape else pad_with_ends(floats, padded_shape)


def _moments(copies: list[np.ndarray], chunk: ChunkValues) -> np.ndarray:
    """Find the means of products of the centred copies and the values to predict: float64 (5, 5)."""
    shift, scale = (chunk.low + chunk.high) / 2, 1 / (chunk.high - chunk.low)
    sums, inside = np.zeros((N_COPIES + 2, N_COPIES + 2)), tuple(map(slice, chunk.values.shape))
    for slab in slabs(chunk.values.shape):
        valid = chunk.valid[slab]
        rows = np.empty((N_COPIES + 2, int(np.count_nonzero(valid))))
        values = [copy[inside][slab] for copy in copies] + [chunk.values[slab]]
        for row, own in zip(rows, values, strict=False):
            row[:] = own.reshape(-1) if row.size == own.size else own[valid]
        rows[:-1] -= shift
        rows[:-1] *= scale
        rows[-1] = 1
        sums += rows @ rows.T
    means = sums[:-1, -1] / sums[-1, -1]
    return sums[:-1, :-1] / sums[-1, -1] - np.outer(means, means)


def _best_weights(moments: np.ndarray) -> tuple[int, ...]:
    """Find the weights, in units, that predict best: none negative, and their sum at most 1.

    Args:
        moments: float64 (5, 5), from ``_moments``.
    """
    if not np.isfinite(moments).all():
        return (0,) * N_COPIES
    products, wanted = moments[:-1, :-1], moments[:-1, -1]
    products = products + np.eye(N_COPIES) * (_LEAST_EIGENVALUE * np.trace(products) / N_COPIES)

    def errors(weights: np.ndarray) -> np.ndarray:
        """Errors of several weights, (…, copy), less that of none."""
        return ((weights @ products - 2 * wanted) * weights).sum(axis=-1)

    best = np.zeros(N_COPIES)
    for chosen in itertools.product((False, True), repeat=N_COPIES):
        mask = np.array(chosen)
        if not mask.any() or not np.diag(products)[mask].all():
            continue
        weights = np.zeros(N_COPIES)
        weights[mask] = np.linalg.solve(products[np.ix_(mask, mask)], wanted[mask])
        if (weights >= 0).all() and errors(weights) < errors(best):
            best = weights
    units = np.minimum(np.rint(best / max(best.sum(), 1.0) * _UNITS), _LARGEST).astype(int)
    units[units.argmax()] -= max(units.sum() - _UNITS, 0)
    return _descend(units, errors)


def _descend(units: np.ndarray, errors: Callable[[np.ndarray], np.ndarray]) -> tuple[int, ...]:
    """Move weights by one unit each as long as the error of the prediction falls."""
    moves = np.array(list(itertools.product((-1, 0, 1), repeat=N_COPIES)))
    for _ in range(_UNITS):
        tried = units + moves
        is_allowed = (tried >= 0).all(1) & (tried <= _LARGEST).all(1) & (tried.sum(1) <= _UNITS)
        tried = tried[is_allowed]
        tried_errors = errors(tried / _UNITS)
        if not tried_errors.min() < errors(units / _UNITS):
            break
        units = tried[tried_errors.argmin()]
    return tuple(map(int, units))


def pack_weights(weights: tuple[int, ...]) -> bytes:
    """Pack weights, in units, each below 2**6, the first in the lowest bits."""
    number = sum(weight << WEIGHT_BITS * place for place, weight in enumerate(weights))
    return number.to_bytes(WEIGHTS_BYTES, "little")


def unpack_weights(stored: bytes) -> tuple[int, ...]:
    """Unpack weights: the inverse of ``pack_weights``.

    Raises:
        ValueError: there are no such weights, or their sum is above 1.
    """
    if len(stored) != WEIGHTS_BYTES:
        raise ValueError(f"the weights of a prediction take {WEIGHTS_BYTES} bytes, not {len(stored)}")
    number = int.from_bytes(stored, "little")
    weights = tuple(number >> WEIGHT_BITS * place & (_UNITS - 1) for place in range(N_COPIES))
    if sum(weights) > _UNITS:
        raise ValueError(f"the weights {weights} of a prediction have a sum above {_UNITS}")
    return weights
