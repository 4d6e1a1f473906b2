"""Kernel of GPUs that brings integers into scan order; ``stream_loops.scan_reference`` has its specification.

A group is 32 neighbouring blocks, each of which a lane follows through its scan. So the quantiser of every
integer is known when it is written, and integers behind the ends of blocks are neither read nor written.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import (
    GROUP_LANES,
    load_where,
    run_groups,
    store_where,
    this_group,
    tile_indices,
)
from nvc_jax.spectral import dependent_quantization
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, ScanOrder, ends_behind
from nvc_jax.transform.block_layout import BlockLayout

_COEFFICIENTS_AT_ONCE = 16
"""Coefficients that are looked at together to find where blocks end."""


class _Blocks(NamedTuple):
    """Blocks of a volume.

    Attributes:
        points: int32 (512, n), in half steps.
        partial_types: int32 (n,).
    """

    points: Any
    partial_types: Any


def scan_integers(
    model: EntropyModel,
    layout: BlockLayout,
    scan: ScanOrder,
    points: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Bring integers into scan order; arguments and results are those of ``stream_loops.scan_reference``.

    Integers behind the end of a block are arbitrary.
    """
    n, n_coefficients = points.shape
    results = [
        jax.ShapeDtypeStruct((n * (n_coefficients - 1),), jnp.int32),
        jax.ShapeDtypeStruct((n,), jnp.int32),
    ]
    blocks = _Blocks(jnp.transpose(points), layout.partial_type)

    def kernel(*references: Any) -> None:
        _scan_group(model.n_quantizers, *references)

    packed, ends = run_groups(kernel, -(-n // GROUP_LANES), results, blocks, scan, interpret=interpret)
    return packed, ends


def _scan_group(n_quantizers: int, blocks: _Blocks, scan: ScanOrder, packed: Any, ends: Any) -> None:
    """Scan the blocks of one group."""
    n = blocks.points.shape[1]
    lane = this_group() * GROUP_LANES + lax.iota(jnp.int32, GROUP_LANES)
    exists = lane < n
    block = jnp.minimum(lane, n - 1)
    partial_type = blocks.partial_types[block]

    def is_coded(coefficient: jax.Array, column: jax.Array) -> jax.Array:
        return blocks.points[coefficient, column] != 0

    end = ends_behind(find_last(scan, partial_type, block, is_coded))
    count = jnp.where(exists, jnp.minimum(end * END_OF_BLOCK_UNIT, scan.counts[partial_type]), 0)

    def take(position: jax.Array, state: jax.Array) -> jax.Array:
        is_coded = position < count
        coefficient = scan.coefficients[partial_type, jnp.full_like(block, position)]
        integer = dependent_quantization.to_integers(
            load_where(blocks.points, (coefficient, block), is_coded)
        )
        quantizer = dependent_quantization.next_quantizer(state)
        item = block * scan.coefficients.shape[1] + position
        store_where(packed, (item,), integer << 1 | quantizer, is_coded)
        return state if n_quantizers == 1 else dependent_quantization.next_state(state, integer)

    lax.fori_loop(0, jnp.max(count), take, jnp.zeros(GROUP_LANES, jnp.int32))
    store_where(ends, (block,), end, exists)


def find_last(
    scan: ScanOrder,
    partial_type: jax.Array,
    block: jax.Array,
    is_coded: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Find the positions of the last integers other than 0 of some blocks, within a kernel.

    Args:
        scan: of the model and the volume.
        partial_type: int32 (lanes,).
        block: int32 (lanes,).
        is_coded: tells which coefficients of which blocks, int32 (m, lanes), have such integers.

    Returns:
        int32 (lanes,); −1 for blocks without any.
    """
    shape = (_COEFFICIENTS_AT_ONCE, len(block))

    def look(tile: jax.Array, last: jax.Array) -> jax.Array:
        coefficient = tile_indices(tile, _COEFFICIENTS_AT_ONCE)[:, None]
        coefficient, of_type, column = (
            jnp.broadcast_to(index, shape) for index in (coefficient, partial_type[None], block[None])
        )
        position = scan.positions[of_type, coefficient]
        found = jnp.where(is_coded(coefficient, column), position, -1)
        return jnp.maximum(last, jnp.max(found, axis=0))

    start = jnp.full(len(block), -1, jnp.int32)
    return lax.fori_loop(0, scan.positions.shape[1] // _COEFFICIENTS_AT_ONCE, look, start)
