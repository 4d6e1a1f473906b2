"""Ends of blocks: up to where they may have integers other than 0, before these are chosen."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.class_decision import DecisionCosts
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.transform.block_layout import BlockLayout


def find_ends(
    costs: DecisionCosts,
    scan: ScanOrder,
    layout: BlockLayout,
    values: jax.Array,
    classes: jax.Array,
    single_steps: float,
) -> jax.Array:
    """Find where blocks end that are rounded with the dead zones of their classes.

    Args:
        costs: of the entropy model.
        scan: of the model and the volume.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        classes: int32 (n,).
        single_steps: steps of one quantiser in each of these steps.

    Returns:
        int32 (n,), in units of END_OF_BLOCK_UNIT integers, rounded up.
    """
    kernel, reference = (partial(form, single_steps=single_steps) for form in (_by_kernel, _reference))
    return on_cpu(kernel, reference, costs, scan, layout, values, classes)


def _by_kernel(
    costs: DecisionCosts,
    scan: ScanOrder,
    layout: BlockLayout,
    values: jax.Array,
    classes: jax.Array,
    *,
    single_steps: float,
) -> jax.Array:
    """Find ends by the native kernel."""
    ends = jax.ShapeDtypeStruct(classes.shape, jnp.int32)
    arguments = (values, classes, costs.tables, costs.first_thresholds, scan.positions, layout.partial_type)
    return call("nvc_find_ends", ends, *arguments, single_steps=np.float32(single_steps))


def _reference(
    costs: DecisionCosts,
    scan: ScanOrder,
    layout: BlockLayout,
    values: jax.Array,
    classes: jax.Array,
    *,
    single_steps: float,
) -> jax.Array:
    """Find ends in ``jax.numpy``: the specification of the kernel."""
    thresholds = costs.first_thresholds[costs.tables[classes]]
    return scan_order.find_ends(scan, layout, jnp.abs(values * np.float32(single_steps)) >= thresholds)
