"""Prediction of a step from the step before it: section 14.13 of ``FORMAT.md``."""

import numpy as np
from reference_common import Shape, crop, require

WEIGHTS_BYTES = 3
"""Bytes of the weights, in front of the difference."""


def take_weights(body: bytes) -> list[int]:
    """Read the weights of a predicted body."""
    require(len(body) >= WEIGHTS_BYTES, "a predicted body lacks its weights")
    number = int.from_bytes(body[:WEIGHTS_BYTES], "little")
    weights = [number >> 6 * k & 63 for k in range(4)]
    require(sum(weights) <= 64, "the weights of a prediction are too large")
    return weights


def predict(before: np.ndarray, weights: list[int], padded_shape: Shape) -> np.ndarray:
    """Predict the values of a step, float64."""
    padding = [(0, whole - side) for whole, side in zip(padded_shape, before.shape, strict=True)]
    smoothed = np.pad(before.astype(np.float64), padding, mode="edge")
    total = weights[0] * smoothed
    for k in (1, 2, 3):
        d = 2 ** (k - 1)
        for axis, side in enumerate(padded_shape):
            below, above = (np.clip(np.arange(side) + move, 0, side - 1) for move in (-d, d))
            smoothed = smoothed.take(below, axis) / 4 + smoothed / 2 + smoothed.take(above, axis) / 4
        total += weights[k] * smoothed
    return (total / 64)[crop(before.shape)]
