"""Refinement of decoded coefficients: section 14.7 of ``FORMAT.md``."""

import math
from typing import Any

import numpy as np
from reference_common import Shape

# 14.7 Refinement


def refine(
    params: Any,
    coefficients: np.ndarray,
    order: np.ndarray,
    classes: np.ndarray,
    pairs: np.ndarray,
    grid: Shape,
) -> np.ndarray:
    """Compute the refinement of coefficients, (n, 512) in steps, which is added to them."""
    network = {
        layer: {name: np.asarray(array, float) for name, array in arrays.items()}
        for layer, arrays in params["network"].items()
    }
    features = refinement_features(coefficients, order, grid)
    hidden = features @ network["first"]["kernel"] + network["first"]["bias"]
    embedded = network["classes"]["embedding"][classes] + network["ways"]["embedding"][pairs]
    hidden = gelu(hidden + embedded)
    inner = gelu(hidden @ network["second"]["kernel"] + network["second"]["bias"])
    output = (hidden + inner) @ network["output"]["kernel"]
    gains = np.asarray(params["gains"], float)[classes]
    return np.clip(gains[:, None] * output, -1, 1)


def refinement_features(coefficients: np.ndarray, order: np.ndarray, grid: Shape) -> np.ndarray:
    """Compute the network's features of each block and of its six neighbours, (n, 255)."""
    compressed = np.arcsinh(coefficients[:, order[:63]])
    dc = coefficients[:, 0].reshape(grid)
    shared = compressed[:, :31].reshape(*grid, 31)
    features = [compressed]
    for axis, length in enumerate(grid):
        for offset in (-1, 1):
            neighbour = np.arange(length) + offset
            exists = (neighbour >= 0) & (neighbour < length)
            exists = np.expand_dims(exists, [a for a in range(3) if a != axis])
            clipped = np.clip(neighbour, 0, length - 1)
            difference = np.arcsinh(np.take(dc, clipped, axis) - dc)
            features.append((difference * exists).reshape(-1, 1))
            features.append((np.take(shared, clipped, axis) * exists[..., None]).reshape(-1, 31))
    return np.concatenate(features, axis=1)


def gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
