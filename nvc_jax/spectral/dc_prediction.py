"""Prediction of DC, the means of segments along all three axes, from their neighbours.

DC is the first coefficient of the blocks in which the segments of all axes have their frequency 0. It is
predicted from the DC before it along one, two or all axes. The first coefficients of other blocks are not
predicted.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.transform.separable import AxisTransform, first_coefficients

DC_PREDICTORS: tuple[tuple[int, ...], ...] = tuple(
    axes for count in range(4) for axes in itertools.combinations(range(3), count)
)
"""Axes along which each predictor takes differences, 0, 1, 2 for z, y, x; a stream states the index."""


def predict_first(
    values: jax.Array, inside: jax.Array, grid: Shape3, transforms: list[AxisTransform]
) -> tuple[jax.Array, jax.Array]:
    """Round first coefficients, and take differences of DC.

    Args:
        values: float32 (n, 512), coefficients in steps.
        inside: bool (n,), blocks that count; the first coefficients of others become 0.
        grid: number of blocks along z, y, x; static.
        transforms: of the three axes.

    Returns:
        int32 (z, y, x) and int32, as of ``predict_dc``.
    """
    kernel, reference = (partial(form, grid) for form in (_predict_by_kernel, predict_first_reference))
    return on_cpu(kernel, reference, values, inside, transforms)


def predict_first_reference(
    grid: Shape3, values: jax.Array, inside: jax.Array, transforms: list[AxisTransform]
) -> tuple[jax.Array, jax.Array]:
    """Round first coefficients, and take differences of DC: the specification of the kernel."""
    return round_and_predict(grid, first_coefficients(values), inside, transforms)


def round_and_predict(
    grid: Shape3, first: jax.Array, inside: jax.Array, transforms: list[AxisTransform]
) -> tuple[jax.Array, jax.Array]:
    """Round first coefficients, float32 (n,), and take differences of DC; see ``predict_first``."""
    first = jnp.round(first)
    first = jnp.clip(first, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(jnp.int32)
    return predict_dc(jnp.where(inside, first, 0).reshape(grid), transforms)


def _predict_by_kernel(
    grid: Shape3, values: jax.Array, inside: jax.Array, transforms: list[AxisTransform]
) -> tuple[jax.Array, jax.Array]:
    """Take differences by a native kernel; of nearly equal sums it may find another one the lowest."""
    results = [jax.ShapeDtypeStruct(grid, jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)]
    marks, before = zip(*((axis.is_dc, axis.previous_dc) for axis in transforms), strict=True)
    arguments = (values, inside, *marks, *before)
    differences, predictor = call("nvc_predict_dc", results, *arguments, largest=np.int32(MAX_MAGNITUDE))
    return differences, predictor


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
