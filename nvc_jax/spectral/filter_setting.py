"""Settings of the post-filter: how a stream says what the network is to do, and how the encoder decides it.

The encoder decodes its own stream and measures two numbers. The *noise* is the root mean square error; the
network works in units of it. The *strength* is the share of the network's correction that is worth taking. It
is 0 if the network does not help, and under a bound, because the network may enlarge the small differences
between devices several times.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.spectral.post_filter import Network, find_correction

NOISE_PARTS = 4
"""Levels of noise for each factor of 2."""
MAX_NOISE = 127
STRENGTH_PARTS = 16
"""Levels of strength up to the whole correction."""
MAX_STRENGTH = 24


class FilterSetting(NamedTuple):
    """Numbers that a stream states for the filter.

    Attributes:
        noise: int32, root mean square error before the filter: 2**(−noise / NOISE_PARTS) of the range.
        strength: int32, share of the correction that is taken, in 1 / STRENGTH_PARTS; 0 for no filter.
    """

    noise: jax.Array
    strength: jax.Array


def to_unit(noise: jax.Array) -> jax.Array:
    """Convert the noise that a stream states to float32, in units of the range."""
    return jnp.exp2(-noise.astype(jnp.float32) / NOISE_PARTS)


def apply_filter(
    network: Network, volume: jax.Array, valid_shape: jax.Array, setting: FilterSetting, step: jax.Array
) -> jax.Array:
    """Filter a decoded volume; arguments are those of ``find_correction``, and what the stream states."""

    def filtered(volume: jax.Array) -> jax.Array:
        share = setting.strength.astype(jnp.float32) / STRENGTH_PARTS
        return volume + share * find_correction(network, volume, valid_shape, to_unit(setting.noise), step)

    return lax.cond(setting.strength > 0, filtered, lambda volume: volume, volume)


def choose_setting(
    network: Network,
    decoded: jax.Array,
    original: jax.Array,
    valid_shape: jax.Array,
    step: jax.Array,
    is_bounded: jax.Array,
) -> FilterSetting:
    """Choose the setting of the filter: the strength that leaves the smallest error.

    Args:
        network: parameters.
        decoded: float32 (z, y, x), in units of the range, before the filter.
        original: float32, likewise, before the encoder.
        valid_shape: int32 (3,), voxels along z, y, x that count.
        step: float32, of the quantiser, relative to the range.
        is_bounded: bool, whether decoded values keep a bound, and so there is no filter.
    """
    noise, errors = measure_noise(decoded, original, valid_shape)

    def measured(decoded: jax.Array) -> jax.Array:
        unit = to_unit(noise)
        correction = find_correction(network, decoded, valid_shape, unit, step) / unit
        size = jnp.sum(jnp.where(valid_voxels(check_shape(decoded.shape), valid_shape), correction**2, 0))
        share = jnp.sum(correction * errors / unit) / jnp.maximum(size, jnp.finfo(jnp.float32).tiny)
        return jnp.clip(jnp.round(share * STRENGTH_PARTS), 0, MAX_STRENGTH).astype(jnp.int32)

    strength = lax.cond(is_bounded, lambda _: jnp.int32(0), measured, decoded)
    return FilterSetting(jnp.where(is_bounded, 0, noise), strength)


def measure_noise(
    decoded: jax.Array, original: jax.Array, valid_shape: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Measure the noise of a decoded volume.

    Returns:
        The noise as a stream states it, int32, and the errors, original less decoded, float32 (z, y, x): 0 of
        voxels that do not count.
    """
    is_valid = valid_voxels(check_shape(decoded.shape), valid_shape)
    errors = jnp.where(is_valid, original - decoded, 0)
    mean_square = jnp.sum(errors**2) / jnp.sum(is_valid, dtype=jnp.float32)
    level = -NOISE_PARTS / 2 * jnp.log2(jnp.maximum(mean_square, jnp.finfo(jnp.float32).tiny))
    return jnp.clip(jnp.round(level), 0, MAX_NOISE).astype(jnp.int32), errors


def valid_voxels(shape: Shape3, valid_shape: jax.Array) -> jax.Array:
    """Mark the voxels of an array that count, bool (z, y, x)."""
    is_valid = jnp.ones(shape, bool)
    for axis in range(3):
        is_valid &= lax.broadcasted_iota(jnp.int32, shape, axis) < valid_shape[axis]
    return is_valid
