"""Ends of blocks within kernels of GPUs; ``block_ends`` has the specification."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where
from nvc_jax.spectral.block_ends import most_ends
from nvc_jax.spectral.class_decision import DecisionCosts
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.spectral.group_scan import find_last
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, ScanOrder, ends_behind
from nvc_jax.transform.block_layout import BlockLayout


class EndTables(NamedTuple):
    """All that says where blocks may have integers, in memory.

    Attributes:
        tables: int32 (K, 512), of ``DecisionCosts``.
        thresholds: float32 (R + 1,), magnitudes in steps of one quantiser from which integers are likely.
        scan: of the model and the volume.
        partial_types: int32 (n,), of the blocks.
        inside: bool (n,), of the blocks.
    """

    tables: Any
    thresholds: Any
    scan: ScanOrder
    partial_types: Any
    inside: Any


def make_end_tables(costs: DecisionCosts, scan: ScanOrder, layout: BlockLayout) -> EndTables:
    """Collect what ``count_likely`` takes; arguments as of ``block_ends.count_integers``."""
    return EndTables(costs.tables, costs.first_thresholds, scan, layout.partial_type, layout.inside)


def count_likely(
    ends: EndTables,
    values: FloatCoefficients | SplitCoefficients,
    single_steps: float,
    block: jax.Array,
    classes: jax.Array,
    exists: jax.Array,
) -> jax.Array:
    """Count the integers of blocks that may be other than 0; see ``block_ends.count_integers``.

    Args:
        ends: all that counts.
        values: of all blocks, in steps.
        single_steps: steps of one quantiser in each of these steps.
        block: int32 (lanes,).
        classes: int32 (lanes,), of the blocks.
        exists: bool (lanes,), lanes with a block.

    Returns:
        int32 (lanes,); 0 for lanes without a block.
    """
    partial_type = load_where(ends.partial_types, (block,), exists)
    scale = jnp.float32(single_steps)

    def is_coded(coefficient: jax.Array, column: jax.Array) -> jax.Array:
        table = ends.tables[jnp.broadcast_to(classes[None], column.shape), coefficient]
        return jnp.abs(values.load(coefficient, column) * scale) >= ends.thresholds[table]

    end = most_ends(ends_behind(find_last(ends.scan, partial_type, block, is_coded)))
    count = jnp.minimum(end * END_OF_BLOCK_UNIT, ends.scan.counts[partial_type])
    return jnp.where(exists & load_where(ends.inside, (block,), exists), count, 0)
