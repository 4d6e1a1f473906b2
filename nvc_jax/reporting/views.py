"""Renderings of an excerpt from outside: the original and the decoded volume in the same view and colours."""

from typing import Any

import numpy as np

from nvc_jax.evaluation.rendering import render
from nvc_jax.reporting import svg

_LEAST_DEPTH = 8
"""Voxels along each axis below which nothing is rendered."""
_RENDERED_SIDE = 72
"""Voxels of a rendered volume along an axis, about: larger ones are averaged over cubes."""
_MOST_PIXELS, _PIXELS_PER_VOXEL = 280, 3
"""Side of a picture at most, and as a multiple of the longest side of what is rendered."""
_TRANSPARENT = 0.85
"""Share of the voxels, those of the least values, that are transparent."""


def render_views(*volumes: np.ndarray) -> tuple[list[str], float] | None:
    """Render volumes alike; None where there is no depth to see.

    Args:
        volumes: float64 (z, y, x), the original first; NaN counts as the least value.

    Returns:
        Addresses of the pictures, and the value from which on voxels are opaque.
    """
    small = [_shrink(volume) for volume in volumes]
    finite = small[0][np.isfinite(small[0])]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if min(small[0].shape) < _LEAST_DEPTH or not low < high:
        return None
    quantile = (float(np.quantile(finite, _TRANSPARENT)) - low) / (high - low)
    size = min(_PIXELS_PER_VOXEL * max(small[0].shape), _MOST_PIXELS)
    threshold = min(max(quantile, 0.05), 0.9)
    views = [
        render(
            np.where(np.isfinite(volume), volume, low),
            minimum=low,
            maximum=high,
            threshold=threshold,
            softness=min(0.2, 1 - threshold),
            size=size,
        )
        for volume in small
    ]
    return [svg.png_address(view) for view in views], low + threshold * (high - low)


def _shrink(volume: np.ndarray) -> np.ndarray:
    """Average a volume over cubes, so that no side is much longer than ``_RENDERED_SIDE``."""
    factor = max(round(max(volume.shape) / _RENDERED_SIDE), 1)
    factors = [min(factor, side) for side in volume.shape]
    cut = volume[tuple(slice(0, side // f * f) for side, f in zip(volume.shape, factors, strict=True))]
    cubes = cut.reshape([n for side, f in zip(cut.shape, factors, strict=True) for n in (side // f, f)])
    means: Any = cubes.mean(axis=(1, 3, 5))
    return means
