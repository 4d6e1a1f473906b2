"""Volume rendering by ray marching, in ``jax.numpy``; it needs no extra.

Parallel rays leave the pixels of a picture and cross the volume in steps of half a voxel. At each step, a
transfer function turns the sampled value into a colour and an opacity, and a diffuse light shades the
colour. The samples are composited front to back (Levoy 1988).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike

from nvc_jax.core.shapes import check_shape

DARK_TO_LIGHT = ((0.16, 0.20, 0.42), (0.20, 0.52, 0.66), (0.93, 0.80, 0.52), (1.0, 0.98, 0.94))
"""Colours (red, green, blue) of the transfer function at equal distances from its threshold to 1."""

STEP_VOXELS = 0.5
"""Distance of the samples along a ray, in voxels; the square root in `_transfer` is for this distance."""

VIEW_WIDTH = 0.8
"""Side of the picture at zoom 1, relative to the diagonal of the volume."""

LIGHT_FROM_ABOVE, LIGHT_FROM_LEFT = 0.5, 0.4
"""Offset of the light from the eye upwards and to the left, relative to the direction towards the eye."""

AMBIENT_LIGHT, DIFFUSE_LIGHT = 0.35, 0.65
"""Share of the light that falls on every surface, and share that depends on its slope towards the light."""

MIN_SQUARED_SLOPE = 1e-8
"""Added to the squared gradient, so that a flat part of the volume has a finite normal."""

_Carry = tuple[jax.Array, jax.Array]


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
    unit = jnp.asarray(np.clip((volume.astype(np.float32) - minimum) / (maximum - minimum), 0, 1))
    frame = _camera(math.radians(azimuth), math.radians(elevation))
    transfer = jnp.array([threshold, softness, opacity], jnp.float32)
    return np.asarray(_march(unit, frame, transfer, jnp.float32(zoom), size))


def _camera(azimuth: float, elevation: float) -> jax.Array:
    """Unit vectors (z, y, x) of the viewing direction, right and down, one a row; z points up."""
    ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
    return jnp.array([(-se, ca * ce, sa * ce), (0, -sa, ca), (-ce, -ca * se, -sa * se)], jnp.float32)


@functools.partial(jax.jit, static_argnums=4)
def _march(volume: jax.Array, frame: jax.Array, transfer: jax.Array, zoom: jax.Array, size: int) -> jax.Array:
    """Composite the samples of all rays; one step of the scan is one sheet of samples.

    Args:
        volume: (z, y, x) in [0, 1].
        frame: (3, 3), see `_camera`.
        transfer: threshold, softness and opacity.
        zoom: scalar, see `render`.
        size: side of the picture in pixels.

    Returns:
        (size, size, 3) colours in [0, 1].
    """
    forward, right, down = frame
    threshold, softness, opacity = transfer
    diagonal = math.sqrt(sum(side**2 for side in volume.shape))
    n_steps = math.ceil(diagonal / STEP_VOXELS)
    shades = _diffuse_shade(volume, forward, right, down)
    fields = jnp.pad(jnp.stack([volume, shades]), [(0, 0), (1, 1), (1, 1), (1, 1)])

    # `centre` + `sheet`: positions of the pixels on the sheet through the centre of the volume.
    sheet = _pixel_offsets(right, down, size) * (VIEW_WIDTH * diagonal / zoom)
    # Voxels 0 … n − 1 have their centre at (n − 1) / 2; the padding adds 1.
    centre = (jnp.array(volume.shape, jnp.float32) / 2 + 0.5)[:, None, None]

    def step(carry: _Carry, index: jax.Array) -> tuple[_Carry, None]:
        colour_so_far, transmittance = carry
        depth = (index.astype(jnp.float32) * STEP_VOXELS - 0.5 * diagonal).reshape(1, 1, 1)
        position = list(centre + sheet + forward[:, None, None] * depth)
        value, shade = (map_coordinates(field, position, order=1, mode="constant") for field in fields)
        colour, alpha = _transfer(value, shade, threshold, softness, opacity)
        colour_so_far = colour_so_far + (transmittance * alpha)[..., None] * colour
        return (colour_so_far, transmittance * (1 - alpha)), None

    start = (jnp.zeros((size, size, 3)), jnp.ones((size, size)))
    (image, transmittance), _ = lax.scan(step, start, jnp.arange(n_steps))
    return jnp.clip(image + transmittance[..., None], 0, 1)


def _diffuse_shade(volume: jax.Array, forward: jax.Array, right: jax.Array, down: jax.Array) -> jax.Array:
    """Cosine in [0, 1] of the angle between the gradient and the light, for every voxel."""
    gradient = jnp.stack(jnp.gradient(volume)) if min(volume.shape) > 1 else jnp.zeros((3, *volume.shape))
    light = (-forward - LIGHT_FROM_ABOVE * down - LIGHT_FROM_LEFT * right)[:, None, None, None]
    slope = jnp.sqrt(jnp.sum(gradient**2, axis=0) + MIN_SQUARED_SLOPE)
    return jnp.abs(jnp.sum(gradient * light, axis=0)) / (slope * jnp.linalg.norm(light))


def _pixel_offsets(right: jax.Array, down: jax.Array, size: int) -> jax.Array:
    """Offsets (3, size, size) of the pixels from the centre of a picture whose side is 1."""
    pixels = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size - 0.5
    return right[:, None, None] * pixels[None, None, :] + down[:, None, None] * pixels[None, :, None]


def _transfer(
    value: jax.Array, shade: jax.Array, threshold: jax.Array, softness: jax.Array, opacity: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Colours (h, w, 3) and opacities (h, w) of one step's samples."""
    voxel_alpha = opacity * jnp.clip((value - threshold) / softness, 0, 1)
    alpha = 1 - jnp.sqrt(1 - voxel_alpha)  # opacity of half a voxel, see STEP_VOXELS

    n_colours = len(DARK_TO_LIGHT)
    colours = jnp.array(DARK_TO_LIGHT, jnp.float32)
    level = jnp.clip((value - threshold) / (1 - threshold), 0, 1) * (n_colours - 1)
    positions = jnp.arange(float(n_colours))
    colour = jnp.stack([jnp.interp(level, positions, colours[:, channel]) for channel in range(3)], axis=-1)
    return colour * (AMBIENT_LIGHT + DIFFUSE_LIGHT * shade[..., None]), alpha
