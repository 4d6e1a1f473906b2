"""The post-filter of spectral bodies: section 14.12 of ``FORMAT.md``."""

import itertools
from collections.abc import Mapping

import numpy as np

SIX_AXES = [tuple(sign if axis == of else 0 for axis in range(3)) for of in range(3) for sign in (-1, 1)]
"""Offsets of the six places next to one along the axes."""


def filter_voxels(
    v: np.ndarray, noise: int, strength: int, step: float, network: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Filter the voxels of a chunk, given in units of its range and limited to 0 … 1."""
    n = 2.0 ** (-noise / 4)
    inputs = network_inputs(v, n, step)
    a = np.maximum(0, apply_layer(network, "first", inputs))
    b = np.maximum(0, apply_layer(network, "second", a))
    e = np.clip(apply_layer(network, "last", b)[0], -4, 4)
    return v + strength / 16 * n * e.reshape(v.shape)


def apply_layer(network: Mapping[str, np.ndarray], layer: str, units: np.ndarray) -> np.ndarray:
    """Multiply by the weights of a layer, and add its biases."""
    weights, biases = (np.asarray(network[f"{layer}_{name}"], float) for name in ("weights", "biases"))
    return weights @ units + biases[:, np.newaxis]


def network_inputs(v: np.ndarray, n: float, step: float) -> np.ndarray:
    """List the 59 inputs of each voxel: (59, voxels)."""
    neighbours = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if any(offset)]
    neighbours += [times(distance, axis) for distance in (2, 3) for axis in SIX_AXES]
    inputs = [soft((at(v, offset) - v) / n) for offset in neighbours]
    for side in (5, 9):
        offsets = [(0, 0, 0), *(times(side - 1, axis) for axis in SIX_AXES)]
        inputs += [soft((at(mean(v, side), offset) - v) / n) for offset in offsets]
    rough = np.abs(v - mean(v, 3))
    inputs += [np.log1p(mean(rough, side) / n) for side in (3, 5, 9)]
    inputs += [
        np.arcsinh(v / n),
        v,
        np.full(v.shape, np.log2(n) / 4),
        np.full(v.shape, np.log2(step / n) / 4),
    ]
    return np.stack([array.ravel() for array in inputs])


def times(factor: int, offset: tuple[int, ...]) -> tuple[int, ...]:
    """Multiply an offset by a number."""
    return tuple(factor * part for part in offset)


def at(array: np.ndarray, offset: tuple[int, ...]) -> np.ndarray:
    """Take for each place the value at an offset from it; the nearest place inside stands for one outside."""
    reach = max(map(abs, offset))
    places = (
        slice(reach + part, reach + part + side) for part, side in zip(offset, array.shape, strict=True)
    )
    return np.pad(array, reach, mode="edge")[tuple(places)]


def mean(array: np.ndarray, side: int) -> np.ndarray:
    """Compute the mean of the cube around each place; the nearest place inside stands for one outside."""
    padded = np.pad(array, side // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (side,) * 3).mean(axis=(3, 4, 5))


def soft(d: np.ndarray) -> np.ndarray:
    """Shrink differences, large ones more."""
    return d / (1 + np.abs(d) / 4)
