"""Prediction of DC, the means of segments along all three axes, from their neighbours.

DC is the first coefficient of the blocks in which the segments of all axes have their frequency 0. It is
predicted from the DC before it along one, two or all axes. The first coefficients of other blocks are not
predicted.
"""

import itertools

import jax
import jax.numpy as jnp

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.transform.separable import AxisTransform

DC_PREDICTORS: tuple[tuple[int, ...], ...] = tuple(
    axes for count in range(4) for axes in itertools.combinations(range(3), count)
)
"""Axes along which each predictor takes differences, 0, 1, 2 for z, y, x; a stream states the index."""


def predict_dc(first: jax.Array, transforms: list[AxisTransform]) -> tuple[jax.Array, jax.Array]:
    """Take differences of DC by the predictor that is cheapest, of those whose differences can be coded.

    Args:
        first: int32 (z, y, x), first coefficients of all blocks in steps, at most MAX_MAGNITUDE.
        transforms: of the three axes.

    Returns:
        int32 (z, y, x), with differences in place of DC, and int32 index of ``DC_PREDICTORS``.
    """
    candidates = jnp.stack([_difference(first, transforms, axes) for axes in DC_PREDICTORS])
    magnitudes = jnp.abs(candidates)
    bits = jnp.sum(jnp.log2(1 + magnitudes.astype(jnp.float32)), axis=(1, 2, 3))
    bits = jnp.where(jnp.max(magnitudes, axis=(1, 2, 3)) <= MAX_MAGNITUDE, bits, jnp.inf)
    predictor = jnp.argmin(bits).astype(jnp.int32)
    return candidates[predictor], predictor


def accumulate_dc(differences: jax.Array, predictor: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
    """Compute first coefficients from differences: the inverse of ``predict_dc``."""
    marks = [transform.is_dc for transform in transforms]
    return on_cpu(_accumulate_by_kernel, accumulate_dc_reference, differences, predictor, marks)


def _accumulate_by_kernel(differences: jax.Array, predictor: jax.Array, marks: list[jax.Array]) -> jax.Array:
    """Compute first coefficients by a native kernel."""
    first = jax.ShapeDtypeStruct(differences.shape, jnp.int32)
    return call("nvc_accumulate_dc", first, differences, predictor, *marks)


def accumulate_dc_reference(
    differences: jax.Array, predictor: jax.Array, marks: list[jax.Array]
) -> jax.Array:
    """Compute first coefficients from differences: the specification of the kernel."""
    is_dc = _mark_dc(marks)
    sums = jnp.where(is_dc, differences, 0)
    uses_axis = jnp.array([[axis in axes for axis in range(3)] for axes in DC_PREDICTORS])[predictor]
    for axis in range(3):
        sums = jnp.where(uses_axis[axis], jnp.cumsum(sums, axis=axis, dtype=jnp.int32), sums)
        sums = jnp.where(is_dc, sums, 0)
    return jnp.where(is_dc, sums, differences)


def _difference(first: jax.Array, transforms: list[AxisTransform], axes: tuple[int, ...]) -> jax.Array:
    """Take differences of DC along some axes."""
    is_dc = _mark_dc([transform.is_dc for transform in transforms])
    differences = jnp.where(is_dc, first, 0)
    for axis in axes:
        before = transforms[axis].previous_dc
        shape = [-1 if other == axis else 1 for other in range(3)]
        taken = jnp.take(differences, jnp.maximum(before, 0), axis=axis)
        differences = differences - jnp.where((before >= 0).reshape(shape), taken, 0)
    return jnp.where(is_dc, differences, first)


def _mark_dc(marks: list[jax.Array]) -> jax.Array:
    """Mark the blocks whose first coefficient is DC, bool (z, y, x), by those of each axis."""
    z, y, x = marks
    return z[:, None, None] & y[None, :, None] & x[None, None, :]
