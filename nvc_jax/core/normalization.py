"""Normalisation: values of a device dtype to float32 in [0, 1] and back, by a volume's finite range."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

PRESCALE = 2**-4
"""Factor applied to values before their differences are taken.

The difference of two large float32 might overflow, and the inverse of such a difference underflow.
"""


def finite_range(volume: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Smallest and largest finite value, float32 scalars; (0, 0) if no value is finite."""
    if jnp.issubdtype(volume.dtype, jnp.integer):
        return volume.min().astype(jnp.float32), volume.max().astype(jnp.float32)
    volume = volume.astype(jnp.float32)
    finite = jnp.isfinite(volume)
    minimum = jnp.min(volume, where=finite, initial=jnp.inf)
    maximum = jnp.max(volume, where=finite, initial=-jnp.inf)
    is_empty = minimum > maximum
    return jnp.where(is_empty, 0.0, minimum), jnp.where(is_empty, 0.0, maximum)


def finite_limits(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value of an array of any dtype; (0, 0) if no value is finite."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def normalize(volume: jax.Array, minimum: ArrayLike, maximum: ArrayLike) -> jax.Array:
    """Map [minimum, maximum] to [0, 1] (paper, section 3.1).

    Args:
        volume: any shape, a device dtype.
        minimum: float32 scalar.
        maximum: float32 scalar. If it equals the minimum, or exceeds it by less than 16 times float32's
            smallest normal number, every value maps to 0.

    Returns:
        float32 of the same shape, in [0, 1]. NaN maps to 0, other values outside of the range to the nearer
        end.
    """
    return normalize_by(volume, minimum, normalization_scale(minimum, maximum))


def is_wide(dtype: np.dtype) -> bool:
    """Tell whether float32 holds not all values of a dtype, which ``normalize_wide`` scales before."""
    return bool(np.result_type(dtype, np.float32) != np.float32)


def normalize_wide(values: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Map [minimum, maximum] to [0, 1] as ``normalize`` does, by float64.

    Args:
        values: any shape, of a wide dtype; NaN and infinities are allowed.
        minimum: of the finite values.
        maximum: of the finite values.

    Returns:
        float32 of the same shape.
    """
    low = PRESCALE * minimum
    span = max(PRESCALE * maximum - low, float(np.finfo(np.float64).tiny))
    unit = np.clip((PRESCALE * values.astype(np.float64) - low) / span, 0, 1)
    return np.nan_to_num(unit, nan=0).astype(np.float32)


def normalization_scale(minimum: ArrayLike, maximum: ArrayLike) -> jax.Array:
    """Get the factor, float32, by which ``normalize`` maps differences; 0 where all values map to 0."""
    prescale = jnp.float32(PRESCALE)
    scaled_range = prescale * maximum - prescale * minimum
    return jnp.where(scaled_range >= jnp.finfo(jnp.float32).tiny, 1 / scaled_range, 0)


def normalize_by(volume: jax.Array, minimum: ArrayLike, scale: jax.Array) -> jax.Array:
    """Map values to [0, 1] as ``normalize`` does, given ``normalization_scale``."""
    prescale = jnp.float32(PRESCALE)
    unit = jnp.clip((prescale * volume.astype(jnp.float32) - prescale * minimum) * scale, 0, 1)
    return jnp.where(jnp.isnan(unit), 0, unit)


def denormalize(
    values: jax.Array, minimum: ArrayLike, maximum: ArrayLike, dtype: np.dtype | jnp.dtype | str
) -> jax.Array:
    """Map [0, 1] back to [minimum, maximum]; the inverse of ``normalize``.

    Results are clipped to the range, so a constant volume comes back exactly.

    Args:
        values: float32, any shape.
        minimum: float32 scalar.
        maximum: float32 scalar.
        dtype: a device dtype; integers are rounded to the nearest.
    """
    restored = jnp.asarray(minimum * (1 - values) + maximum * values)
    if not jnp.issubdtype(jnp.dtype(dtype), jnp.integer):
        return jnp.clip(restored, minimum, maximum).astype(dtype)
    # By way of int32: the conversion from float32 to it is a single vector instruction.
    return jnp.clip(jnp.round(restored), minimum, maximum).astype(jnp.int32).astype(dtype)
