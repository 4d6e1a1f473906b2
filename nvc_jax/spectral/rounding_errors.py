"""Errors of coefficients that are rounded for the classes of their blocks."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import group_rounding
from nvc_jax.spectral.class_decision import DecisionCosts
from nvc_jax.spectral.dead_zone import round_with_dead_zone


def rounding_errors(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Sum the squared errors of each block that ``quantize_for_classes`` rounds, DC left out: float32 (n,).

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        classes: int32 (n,).
    """
    arguments = (costs.tables, costs.first_thresholds, costs.further_thresholds, values, classes)
    errors: jax.Array = on_cpu(
        _by_kernel, rounding_errors_reference, *arguments, gpu=group_rounding.rounding_errors
    )
    return errors


def rounding_errors_reference(
    tables: jax.Array, first: jax.Array, further: jax.Array, values: jax.Array, classes: jax.Array
) -> jax.Array:
    """Sum errors in ``jax.numpy``: the specification of the kernels."""
    tables = tables[classes]
    integers = round_with_dead_zone(values, first[tables], further[tables])
    return jnp.sum((values - integers.astype(jnp.float32))[:, 1:] ** 2, axis=1)


def _by_kernel(
    tables: jax.Array, first: jax.Array, further: jax.Array, values: jax.Array, classes: jax.Array
) -> jax.Array:
    """Sum errors by the native kernel; sums differ from the reference's by roundings."""
    return call(
        "nvc_rounding_errors",
        jax.ShapeDtypeStruct(classes.shape, jnp.float32),
        *(values, classes, tables, first, further),
        largest=np.float32(MAX_MAGNITUDE),
    )
