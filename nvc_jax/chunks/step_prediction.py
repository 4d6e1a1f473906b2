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

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.core.compiler_options import jit_on_one_core
from nvc_jax.core.devices import on_host
from nvc_jax.core.filling import pad_with_ends
from nvc_jax.core.shapes import Shape3

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


Array = jax.Array | np.ndarray
"""An array on a device or on the host."""


def smoothed_copies(values: Array) -> jax.Array:
    """Make the smoothed copies of a step: float32 (copy, z, y, x).

    Args:
        values: float32 (z, y, x).
    """
    copies = [jnp.asarray(values)]
    for number in range(N_COPIES - 1):
        smooth = copies[-1]
        for axis in range(3):
            # A program that is made of all three axes at once computes most sums several times.
            smooth = jax.lax.optimization_barrier(_smooth(smooth, axis, 1 << number))
        copies.append(smooth)
    return jnp.stack(copies)


def _smooth(values: jax.Array, axis: int, distance: int) -> jax.Array:
    """Add up a quarter of the values at a distance on both sides and half of each; ends are repeated."""
    padding = [(distance, distance) if one == axis else (0, 0) for one in range(3)]
    padded, side = jnp.pad(values, padding, mode="edge"), values.shape[axis]
    before, after = (jax.lax.slice_in_dim(padded, k, k + side, axis=axis) for k in (0, 2 * distance))
    return 0.25 * before + 0.5 * values + 0.25 * after


def weighted_sum(values: Array, weights: Array) -> jax.Array:
    """Predict a step: float32 (z, y, x).

    Args:
        values: float32 (z, y, x), the step before.
        weights: float32 (copy,).
    """
    copies = smoothed_copies(values)
    total = weights[0] * copies[0]
    for weight, copy in zip(weights[1:], copies[1:], strict=True):
        total = total + weight * copy
    return total


def plane_moments(
    before: Array, values: Array, valid: Array, shift: ArrayLike, scale: ArrayLike
) -> jax.Array:
    """Sum, in each plane, the products of the smoothed copies, the values to predict and 1: (z, 6, 6).

    Args:
        before: float32 (z, y, x), the step before.
        values: float32 (z, y, x), the step to predict.
        valid: bool (z, y, x), the values that count.
        shift: float32, subtracted from all values.
        scale: float32, by which they are multiplied then.
    """
    rows = (jnp.concatenate([smoothed_copies(before), jnp.asarray(values)[None]]) - shift) * scale
    rows = jnp.concatenate([rows, jnp.ones_like(values)[None]]) * valid
    planes = rows.reshape(*rows.shape[:2], -1)
    return jnp.einsum("azn,bzn->zab", planes, planes, precision=jax.lax.Precision.HIGHEST)


_weighted_sum = jit_on_one_core(weighted_sum)
_plane_moments = jit_on_one_core(plane_moments)


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
    weights = _best_weights(_moments(before, chunk, padded_shape))
    if not any(weights):
        return None
    stored = pack_weights(weights)
    values = predict_values(before, stored, padded_shape)
    if not np.isfinite(values).all():
        return None
    largest = float(np.abs(before.astype(np.float32)).max())
    share = sum(weights) / _UNITS
    return StepPrediction(stored, values, share * reserve + largest * _ROUNDING_RESERVE)


def difference_reserve(largest: float) -> float:
    """Reserve for adding differences from a prediction, of at most such a magnitude."""
    return largest * _ROUNDING_RESERVE


@on_host
def predict_values(before: np.ndarray, stored: bytes, padded_shape: Shape3) -> np.ndarray:
    """Predict a step by stored weights: float32, of the shape of the step before.

    Args:
        before: decoded values of the step before: (z, y, x), a dtype whose values float32 holds.
        stored: the weights.
        padded_shape: (z, y, x) of a whole chunk.

    Raises:
        ValueError: there are no such weights.
    """
    weights = np.array(unpack_weights(stored), np.float32) / np.float32(_UNITS)
    predicted = np.asarray(_weighted_sum(_extend(before, padded_shape), weights))
    return predicted[tuple(map(slice, before.shape))]


def _extend(values: np.ndarray, padded_shape: Shape3) -> np.ndarray:
    """Extend values to a whole chunk by copies of those at the ends, float32."""
    floats = values.astype(np.float32, copy=False)
    return floats if floats.shape == padded_shape else pad_with_ends(floats, padded_shape)


@on_host
def _moments(before: np.ndarray, chunk: ChunkValues, padded_shape: Shape3) -> np.ndarray:
    """Find the means of products of the centred copies and the values to predict: float64 (5, 5)."""
    values, valid = (np.zeros(padded_shape, dtype) for dtype in (np.float32, bool))
    inside = tuple(map(slice, before.shape))
    values[inside] = np.where(chunk.valid, chunk.values.astype(np.float32), np.float32(0))
    valid[inside] = chunk.valid
    shift = np.float32((chunk.low + chunk.high) / 2)
    with np.errstate(over="ignore"):
        scale = np.float32(1 / (chunk.high - chunk.low))
    planes = _plane_moments(_extend(before, padded_shape), values, valid, shift, scale)
    with np.errstate(over="ignore", invalid="ignore"):
        sums: np.ndarray = np.asarray(planes).sum(axis=0, dtype=np.float64)
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

    def error(weights: np.ndarray) -> float:
        return float(weights @ products @ weights - 2 * weights @ wanted)

    best = np.zeros(N_COPIES)
    for chosen in itertools.product((False, True), repeat=N_COPIES):
        mask = np.array(chosen)
        if not mask.any() or not np.diag(products)[mask].all():
            continue
        weights = np.zeros(N_COPIES)
        weights[mask] = np.linalg.solve(products[np.ix_(mask, mask)], wanted[mask])
        if (weights >= 0).all() and error(weights) < error(best):
            best = weights
    units = [min(int(weight), _LARGEST) for weight in best / max(best.sum(), 1.0) * _UNITS]
    return _descend(units, error)


def _descend(units: list[int], error: Callable[[np.ndarray], float]) -> tuple[int, ...]:
    """Move weights by units, one or two of them at a time, as long as the error of the prediction falls."""
    moves = [np.array(move) for move in itertools.product((-1, 0, 1), repeat=N_COPIES)]
    moves = [move for move in moves if 1 <= np.abs(move).sum() <= 2]
    best = np.array(units)
    for _ in range(_UNITS):
        tried = [best + move for move in moves]
        allowed = [one for one in tried if one.min() >= 0 and one.max() <= _LARGEST and one.sum() <= _UNITS]
        closest = min(allowed, key=lambda one: error(one / _UNITS))
        if error(closest / _UNITS) >= error(best / _UNITS):
            break
        best = closest
    return tuple(map(int, best))


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
