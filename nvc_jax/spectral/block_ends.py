"""Ends of blocks before integers are chosen: the number of them that may be other than 0."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.class_decision import DecisionCosts
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.transform.block_layout import BlockLayout

_MORE_UNITS = 1
"""Units that a block may be longer than with one quantiser: dependent quantisation may keep a few more
integers."""


def count_integers(
    costs: DecisionCosts,
    scan: ScanOrder,
    layout: BlockLayout,
    values: jax.Array,
    classes: jax.Array,
    single_steps: float,
) -> jax.Array:
    """Count the integers of blocks that two quantisers may make other than 0.

    These go on a little behind the last one that is other than 0 if one quantiser rounds with the dead zones
    of the block's class.

    Args:
        costs: of the entropy model.
        scan: of the model and the volume.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        classes: int32 (n,).
        single_steps: steps of one quantiser in each of these steps.

    Returns:
        int32 (n,), the first ones in scan order; 0 for blocks outside the volume.
    """
    scale = np.float32(single_steps)

    def kernel(costs: DecisionCosts, scan: ScanOrder, layout: BlockLayout, *blocks: jax.Array) -> jax.Array:
        counts = jax.ShapeDtypeStruct(layout.partial_type.shape, jnp.int32)
        of_scan = (scan.positions, scan.counts, layout.partial_type, layout.inside)
        arguments = (*blocks, costs.tables, costs.first_thresholds, *of_scan)
        numbers = {"single_steps": scale, "more_units": np.int32(_MORE_UNITS)}
        return call("nvc_count_integers", counts, *arguments, **numbers)

    def reference(
        costs: DecisionCosts, scan: ScanOrder, layout: BlockLayout, values: jax.Array, classes: jax.Array
    ) -> jax.Array:
        thresholds = costs.first_thresholds[costs.tables[classes]]
        ends_of_block = scan_order.find_ends(scan, layout, jnp.abs(values * scale) >= thresholds)
        return scan_order.count_coded(scan, layout, most_ends(ends_of_block))

    return on_cpu(kernel, reference, costs, scan, layout, values, classes)


def most_ends(ends: jax.Array) -> jax.Array:
    """Get the largest ends that blocks may have, int32 in units, by their ends with one quantiser."""
    return jnp.where(ends > 0, ends + _MORE_UNITS, 0)
