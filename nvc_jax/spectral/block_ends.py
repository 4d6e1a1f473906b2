"""Ends of blocks: up to where they may have integers other than 0, before these are chosen."""

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
    scale = np.float32(single_steps)

    def kernel(costs: DecisionCosts, scan: ScanOrder, layout: BlockLayout, *blocks: jax.Array) -> jax.Array:
        ends = jax.ShapeDtypeStruct(layout.partial_type.shape, jnp.int32)
        model = (costs.tables, costs.first_thresholds, scan.positions, layout.partial_type)
        return call("nvc_find_ends", ends, *blocks, *model, single_steps=scale)

    def reference(
        costs: DecisionCosts, scan: ScanOrder, layout: BlockLayout, values: jax.Array, classes: jax.Array
    ) -> jax.Array:
        thresholds = costs.first_thresholds[costs.tables[classes]]
        return scan_order.find_ends(scan, layout, jnp.abs(values * scale) >= thresholds)

    return on_cpu(kernel, reference, costs, scan, layout, values, classes)
