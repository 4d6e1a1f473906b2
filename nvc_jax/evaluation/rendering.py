"""Volume rendering by ray marching, with NumPy and SciPy; it needs no extra.

Parallel rays leave the pixels of a picture and cross the volume in steps of half a voxel. At each step, a
transfer function turns the sampled value into a colour and an opacity, and a diffuse light shades the
colour. The samples are composited front to back (Levoy 1988). Most of them lie beside the volume or in
transparent parts of it, and are left out.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nvc_jax.core.shapes import check_shape
from nvc_jax.core.slabs import map_slabs

DARK_TO_LIGHT = ((0.16, 0.20, 0.42), (0.20, 0.52, 0.66), (0.93, 0.80, 0.52), (1.0, 0.98, 0.94))
"""Colours (red, green, blue) of the transfer function at equal distances from its threshold to 1."""

STEP_VOXELS = 0.5
"""Distance of the samples along a ray, in voxels; `_Transfer.alpha` is for this distance."""

VIEW_WIDTH = 0.8
"""Side of the picture at zoom 1, relative to the diagonal of the volume."""

LIGHT_FROM_ABOVE, LIGHT_FROM_LEFT = 0.5, 0.4
"""Offset of the light from the eye upwards and to the left, relative to the direction towards the eye."""

AMBIENT_LIGHT, DIFFUSE_LIGHT = 0.35, 0.65
"""Share of the light that falls on every surface, and share that depends on its slope towards the light."""

LEAST_SOFTNESS = 1e-9
"""Interval of mapped values over which opacity rises at least: the quotient must be finite."""

MIN_SQUARED_SLOPE = 1e-8
"""Added to the squared gradient, so that a flat part of the volume has a finite normal."""


def render(
    volume: ArrayLike,
    *,
    minimum: float,
    maximum: float,
    threshold: float = 0.3,
    softness: float = 0.2,
    opacity: float = 0.25,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    zoom: float = 1.0,
    size: int = 384,
) -> np.ndarray:
    """Render a volume by marching parallel rays, front to back, with diffuse shading.

    Args:
        volume: (z, y, x), any real dtype.
        minimum: value that maps to 0; for a decoded volume, pass the original's minimum.
        maximum: value that maps to 1.
        threshold: mapped value at which opacity begins, in [0, 1].
        softness: interval of mapped values over which opacity rises from 0 to ``opacity``.
        opacity: opacity of one voxel's length of full material, in [0, 1].
        azimuth: angle of the eye round the vertical axis, in degrees.
        elevation: angle of the eye above the horizontal plane, in degrees.
        zoom: 1 shows the whole volume, 2 its middle half.
        size: side of the picture in pixels.

    Returns:
        (size, size, 3) float32 colours in [0, 1], on white.

    Raises:
        ValueError: the volume has no three axes or an empty side, or the range is not positive.
    """
    volume = np.asarray(volume)
    check_shape(volume.shape)
    if not maximum > minimum:
        raise ValueError(f"`maximum` (={maximum}) must exceed `minimum` (={minimum})")
    unit = map_slabs(lambda part: _map_values(part, minimum, maximum), volume, dtype=np.float32)
    frame = _camera(math.radians(azimuth), math.radians(elevation))
    return _march(unit, frame, _Transfer(threshold, softness, opacity), zoom, size)


def _map_values(values: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Map values from ``minimum`` to ``maximum`` to [0, 1], in float64: float32 lacks ends and digits."""
    low, high = float(minimum), float(maximum)
    scale = 0.5 if math.isinf(high - low) else 1.0  # the range may be beyond float64
    low, high = scale * low, scale * high
    return np.clip((scale * values.astype(np.float64) - low) / (high - low), 0, 1)


def _camera(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vectors (z, y, x) of the viewing direction, right and down, one a row; z points up."""
    ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
    return np.array([(-se, ca * ce, sa * ce), (0, -sa, ca), (-ce, -ca * se, -sa * se)], np.float32)


class _Transfer(NamedTuple):
    """The transfer function: what is seen of mapped values; see ``render``."""

    threshold: float
    softness: float
    opacity: float

    def colour(self, value: np.ndarray) -> np.ndarray:
        """Interpolate the colours (n, 3) of values (n,) between those of ``DARK_TO_LIGHT``."""
        level = (value - self.threshold) / (1 - self.threshold) * (len(DARK_TO_LIGHT) - 1)
        positions, channels = np.arange(len(DARK_TO_LIGHT)), np.transpose(DARK_TO_LIGHT)
        return np.stack([np.interp(level, positions, channel) for channel in channels], axis=-1)

    def alpha(self, value: np.ndarray) -> np.ndarray:
        """Compute the opacities (n,) of samples of values (n,); samples stand for half a voxel's length."""
        ramp = np.clip((value - self.threshold) / max(self.softness, LEAST_SOFTNESS), 0, 1)
        voxel_alpha = self.opacity * ramp
        return 1 - np.sqrt(1 - voxel_alpha)  # of half a voxel, see STEP_VOXELS


def _march(volume: np.ndarray, frame: np.ndarray, transfer: _Transfer, zoom: float, size: int) -> np.ndarray:
    """Composite the samples of all rays, one sheet of samples after the other.

    Args:
        volume: (z, y, x) in [0, 1].
        frame: (3, 3), see `_camera`.
        transfer: colours and opacities of values.
        zoom: see `render`.
        size: side of the picture in pixels.

    Returns:
        (size, size, 3) float32 colours in [0, 1].
    """
    from scipy.ndimage import map_coordinates  # takes long to import

    forward, right, down = frame
    diagonal = math.sqrt(sum(side**2 for side in volume.shape))
    values, shades = (np.pad(field, 1) for field in (volume, _diffuse_shade(volume, forward, right, down)))

    # Positions of the pixels on the sheet through the centre of the volume, (3, n). Voxels 0 … n − 1 have
    # their centre at (n − 1) / 2; the padding adds 1. Beyond the padding there is nothing to see.
    centre, last = np.array(volume.shape)[:, None] / 2 + 0.5, np.array(values.shape)[:, None] - 1
    sheet = centre + _pixel_offsets(right, down, size) * (VIEW_WIDTH * diagonal / zoom)
    colour_so_far, transmittance = np.zeros((size * size, 3)), np.ones(size * size)
    for depth in np.arange(0, diagonal, STEP_VOXELS) - 0.5 * diagonal:
        position = sheet + forward[:, None] * depth
        rays = np.flatnonzero(((position > 0) & (position < last)).all(axis=0))
        value = map_coordinates(values, position[:, rays], order=1)
        is_seen = value > transfer.threshold
        rays, value = rays[is_seen], value[is_seen]
        shade = map_coordinates(shades, position[:, rays], order=1)
        alpha = transfer.alpha(value)
        light = AMBIENT_LIGHT + DIFFUSE_LIGHT * shade
        colour_so_far[rays] += (transmittance[rays] * alpha * light)[:, None] * transfer.colour(value)
        transmittance[rays] *= 1 - alpha
    image = np.clip(colour_so_far + transmittance[:, None], 0, 1)
    return image.reshape(size, size, 3).astype(np.float32)


def _diffuse_shade(
    volume: np.ndarray, forward: np.ndarray, right: np.ndarray, down: np.ndarray
) -> np.ndarray:
    """Cosine in [0, 1] of the angle between the gradient and the light, for every voxel."""
    gradient = np.stack(np.gradient(volume)) if min(volume.shape) > 1 else np.zeros((3, *volume.shape))
    light = -forward - LIGHT_FROM_ABOVE * down - LIGHT_FROM_LEFT * right
    slope = np.sqrt(np.sum(gradient**2, axis=0) + MIN_SQUARED_SLOPE)
    cosine = np.abs(np.tensordot(light, gradient, axes=1)) / (slope * np.linalg.norm(light))
    return cosine.astype(np.float32)


def _pixel_offsets(right: np.ndarray, down: np.ndarray, size: int) -> np.ndarray:
    """Offsets (3, size · size) of the pixels from the centre of a picture whose side is 1."""
    pixels = (np.arange(size) + 0.5) / size - 0.5
    offsets = right[:, None, None] * pixels[None, None, :] + down[:, None, None] * pixels[None, :, None]
    return offsets.reshape(3, -1)
