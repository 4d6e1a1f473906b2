"""Volume rendering by ray marching, in ``jax.numpy``."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike

from nvc_jax.core.shapes import check_shape

_DARK_TO_LIGHT = ((0.16, 0.20, 0.42), (0.20, 0.52, 0.66), (0.93, 0.80, 0.52), (1.0, 0.98, 0.94))
"""Colours of the transfer function from its threshold to 1."""


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
        minimum: the value that counts as 0; give a reconstruction its original's.
        maximum: the value that counts as 1.
        threshold: where opacity begins, in [0, 1].
        softness: over how much opacity rises from nothing to ``opacity``.
        opacity: of one voxel's length of full material, in [0, 1].
        azimuth: of the eye round the vertical axis, in degrees.
        elevation: of the eye above the horizontal plane, in degrees.
        zoom: 1 shows the whole volume, 2 its middle half.
        size: side of the picture in pixels.

    Returns:
        (size, size, 3) float32 in [0, 1], on white.

    Raises:
        ValueError: wrong rank, an empty side, or a range that is not positive.
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
    """Rows: the viewing direction, right and down, as unit vectors (z, y, x); z points up."""
    ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
    return jnp.array([(-se, ca * ce, sa * ce), (0, -sa, ca), (-ce, -ca * se, -sa * se)], jnp.float32)


@functools.partial(jax.jit, static_argnums=4)
def _march(volume: jax.Array, frame: jax.Array, transfer: jax.Array, zoom: jax.Array, size: int) -> jax.Array:
    """One step of a scan is one sheet of samples, half a voxel further along every ray."""
    threshold, softness, opacity = transfer
    forward, right, down = frame
    shape = jnp.array(volume.shape, jnp.float32)
    reach = math.sqrt(sum(side**2 for side in volume.shape))
    n_steps = math.ceil(2 * reach)
    gradient = jnp.stack(jnp.gradient(volume)) if min(volume.shape) > 1 else jnp.zeros((3, *volume.shape))
    light = (-forward - 0.5 * down - 0.4 * right)[:, None, None, None]
    slope = jnp.sqrt(jnp.sum(gradient**2, axis=0) + 1e-8)
    shade = jnp.abs(jnp.sum(gradient * light, axis=0)) / (slope * jnp.linalg.norm(light))
    fields = jnp.pad(jnp.stack([volume, shade]), [(0, 0), (1, 1), (1, 1), (1, 1)])
    colours = jnp.array(_DARK_TO_LIGHT, jnp.float32)

    pixels = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size - 0.5
    sheet = (right[:, None, None] * pixels[None, None, :] + down[:, None, None] * pixels[None, :, None]) * (
        0.8 * reach / zoom
    )
    centre = (shape / 2 + 0.5)[:, None, None]

    def step(
        carry: tuple[jax.Array, jax.Array], index: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        light_so_far, transmittance = carry
        depth = (index.astype(jnp.float32) * 0.5 - 0.5 * reach).reshape(1, 1, 1)
        position = list(centre + sheet + forward[:, None, None] * depth)
        value, brightness = (map_coordinates(field, position, order=1, mode="constant") for field in fields)
        alpha = opacity * jnp.clip((value - threshold) / softness, 0, 1)
        alpha = 1 - jnp.sqrt(1 - alpha)  # half a voxel's share
        place = jnp.clip((value - threshold) / (1 - threshold), 0, 1) * (len(_DARK_TO_LIGHT) - 1)
        colour = jnp.stack([jnp.interp(place, jnp.arange(4.0), colours[:, c]) for c in range(3)], axis=-1)
        colour = colour * (0.35 + 0.65 * brightness[..., None])
        light_so_far = light_so_far + (transmittance * alpha)[..., None] * colour
        return (light_so_far, transmittance * (1 - alpha)), None

    start = (jnp.zeros((size, size, 3)), jnp.ones((size, size)))
    (image, transmittance), _ = lax.scan(step, start, jnp.arange(n_steps))
    return jnp.clip(image + transmittance[..., None], 0, 1)
