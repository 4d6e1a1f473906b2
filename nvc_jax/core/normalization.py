"""Values of any supported dtype to float32 in [0, 1] and back, by a volume's finite range."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


def finite_range(volume: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Smallest and largest finite value, float32 scalars; (0, 0) where no value is finite."""
    if jnp.issubdtype(volume.dtype, jnp.integer):
        return volume.min().astype(jnp.float32), volume.max().astype(jnp.float32)
    volume = volume.astype(jnp.float32)
    finite = jnp.isfinite(volume)
    minimum = jnp.min(volume, where=finite, initial=jnp.inf)
    maximum = jnp.max(volume, where=finite, initial=-jnp.inf)
    none = minimum > maximum
    return jnp.where(none, 0.0, minimum), jnp.where(none, 0.0, maximum)


def normalize(volume: jax.Array, minimum: ArrayLike, maximum: ArrayLike) -> jax.Array:
    """Map [minimum, maximum] to [0, 1] (paper, section 3.1).

    Args:
        volume: any shape, a supported dtype.
        minimum: float32 scalar.
        maximum: float32 scalar. Where it equals the minimum, or exceeds it by less than 16 times
            float32's smallest normal number, every value maps to 0.

    Returns:
        float32 of the same shape, in [0, 1]; NaN maps to 0, infinities to the nearest end.
    """
    # Shrunk first: the difference of two large float32 may overflow, and its inverse underflow.
    shrink = jnp.float32(2**-4)
    small_range = shrink * maximum - shrink * minimum
    scale = jnp.where(small_range >= jnp.finfo(jnp.float32).tiny, 1 / small_range, 0)
    unit = jnp.clip((shrink * volume.astype(jnp.float32) - shrink * minimum) * scale, 0, 1)
    return jnp.where(jnp.isnan(unit), 0, unit)


def denormalize(
    values: jax.Array, minimum: ArrayLike, maximum: ArrayLike, dtype: np.dtype | jnp.dtype | str
) -> jax.Array:
    """Map [0, 1] back to [minimum, maximum] in ``dtype``; integers are rounded to the nearest.

    Nothing leaves the range, so a constant volume comes back exactly.
    """
    restored = jnp.asarray(minimum * (1 - values) + maximum * values)
    if not jnp.issubdtype(jnp.dtype(dtype), jnp.integer):
        return jnp.clip(restored, minimum, maximum).astype(dtype)
    # By way of int32, for which the conversion from float32 is a single vector instruction.
    return jnp.clip(jnp.round(restored), minimum, maximum).astype(jnp.int32).astype(dtype)
