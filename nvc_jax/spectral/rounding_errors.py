"""Errors of coefficients that are rounded for the classes of their blocks."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral.class_decision import DecisionCosts, quantize_for_classes


def rounding_errors(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Sum the squared errors of each block, DC left out, float32 (n,).

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        classes: int32 (n,).
    """
    return on_cpu(_by_kernel, _reference, costs, values, classes)


def _reference(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Sum errors in ``jax.numpy``: the specification of the kernel."""
    integers = quantize_for_classes(costs, values, classes)
    return jnp.sum((values - integers.astype(jnp.float32))[:, 1:] ** 2, axis=1)


def _by_kernel(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Sum errors by the native kernel; sums differ from the reference's by roundings."""
    return call(
        "nvc_rounding_errors",
        jax.ShapeDtypeStruct(classes.shape, jnp.float32),
        *(values, classes, costs.tables, costs.first_thresholds, costs.further_thresholds),
        largest=np.float32(MAX_MAGNITUDE),
    )
