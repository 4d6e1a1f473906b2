"""Lapped block transform: a filter across block borders, then a DCT of each block.

The filter takes the place of the paper's overlapping margins (section 2.3) at no redundancy. Four voxels on
either side of a border are mixed before blocks are cut, and unmixed after they are assembled. So a block's
basis functions reach into its neighbours and fade out there (Tran, Liang and Tu, 2003).

Blocks are 8³ voxels. Where a superblock of 2 × 2 × 2 blocks is *large*, it is one block of 16³: along each
axis a butterfly folds its two halves; the DCT of the first half then gives its even frequencies, and a DCT-IV
of the second half its odd ones. So the coefficients of a large block have the same form as those of eight
blocks of 8³.

The volume is transformed in slabs of a few layers of blocks, whose intermediate results stay in cache.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import check_shape
from nvc_jax.transform.dct import dct_matrix
from nvc_jax.transform.lapped_filter import filter_blocks, filter_depth, filter_tables, norm_rows
from nvc_jax.transform.plan import TransformPlan, block_strides, flatten_plan
from nvc_jax.transform.planar_blocks import (
    BLOCK_SIZE,
    N_COEFFICIENTS,
    from_planar,
    multiply,
    next_block,
    previous_block,
    split_planes,
    to_planar,
)

FORWARD_BLOCKS_PER_SLAB = 4096
"""Approximate number of blocks of a slab in the forward transform: one slab needs no copies."""
INVERSE_BLOCKS_PER_SLAB = 512
"""Approximate number of blocks of a slab in the inverse transform, which is faster within the cache."""


def map_coefficients(
    function: Callable[[jax.Array], jax.Array],
    volume: jax.Array,
    plan: TransformPlan,
    filter_index: jax.Array,
    blocks_per_slab: int = FORWARD_BLOCKS_PER_SLAB,
) -> jax.Array:
    """Transform a volume and map its coefficients, slab by slab.

    Args:
        function: takes coefficients (8, 8, 8, n), frequencies z, y, x by blocks; returns an array (n, …).
        volume: float32 (z, y, x), sides multiples of 8.
        plan: how its blocks are transformed.
        filter_index: int32, of ``lapped_filter.FILTERS``; may be traced.
        blocks_per_slab: approximate number of blocks of a slab; static.

    Returns:
        Results of the function for all blocks, in z, y, x order.
    """

    def map_slab(slab: jax.Array, plan: TransformPlan) -> jax.Array:
        return function(_analyse_slab(to_planar(slab), plan, filter_index))

    volume = filter_depth(volume, plan, filter_tables().changes, filter_index)
    return _map_slabs(map_slab, volume, plan, BLOCK_SIZE, blocks_per_slab)


def forward(
    volume: jax.Array,
    plan: TransformPlan,
    filter_index: jax.Array,
    blocks_per_slab: int = FORWARD_BLOCKS_PER_SLAB,
) -> jax.Array:
    """Compute the coefficients of a volume.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        plan: how its blocks are transformed.
        filter_index: int32, of ``lapped_filter.FILTERS``; may be traced.
        blocks_per_slab: approximate number of blocks of a slab; static.

    Returns:
        float32 (blocks, 512); frequencies in z, y, x order, blocks in z, y, x order. They are scaled so that
        an error of 1 in any coefficient adds about 1 to the squared error of the volume.
    """

    def flatten(coefficients: jax.Array) -> jax.Array:
        return coefficients.reshape(N_COEFFICIENTS, -1).T

    return map_coefficients(flatten, volume, plan, filter_index, blocks_per_slab)


def inverse(
    coefficients: jax.Array,
    plan: TransformPlan,
    filter_index: jax.Array,
    blocks_per_slab: int = INVERSE_BLOCKS_PER_SLAB,
) -> jax.Array:
    """Compute the volume, float32 (z, y, x), from its coefficients; the inverse of ``forward``."""

    def synthesize(slab: jax.Array, plan: TransformPlan) -> jax.Array:
        planar = slab.T.reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, -1)
        return from_planar(_synthesize_slab(planar, plan, filter_index), check_shape(plan.crossed.shape[1:]))

    blocks_per_layer = math.prod(plan.crossed.shape[2:])
    volume = _map_slabs(synthesize, coefficients, plan, blocks_per_layer, blocks_per_slab)
    return filter_depth(volume, plan, filter_tables().inverse_changes, filter_index)


def dc_norms(plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """Compute the ratio of each block's DC to √512 times its mean, approximately: float32 (z, y, x)."""
    norms = jnp.asarray(filter_tables().norms)[filter_index, :, 0]
    # Both halves of a large block take the row of the first half, which has its frequency 0.
    size_row = (plan.first_half | plan.second_half).astype(jnp.int32)
    return jnp.prod(norms[norm_rows(plan, size_row)], axis=0)


def _map_slabs(
    function: Callable[[jax.Array, TransformPlan], jax.Array],
    items: jax.Array,
    plan: TransformPlan,
    items_per_layer: int,
    blocks_per_slab: int,
) -> jax.Array:
    """Map slabs of a volume, one after the other. A slab consists of whole layers of superblocks.

    Args:
        function: takes a slab of ``items`` and its plan; returns an array whose first axis has a fixed number
            of entries for each layer of blocks.
        items: first axis: ``items_per_layer`` entries for each layer of blocks.
        plan: of the whole grid.
        items_per_layer: see ``items``.
        blocks_per_slab: approximate number of blocks of a slab.
    """
    n_layers = plan.crossed.shape[1]
    layers_per_slab = max(2, blocks_per_slab // math.prod(plan.crossed.shape[2:]) // 2 * 2)
    if n_layers <= layers_per_slab:
        return function(items, plan)

    n_slabs = -(-n_layers // layers_per_slab)
    n_added = n_slabs * layers_per_slab - n_layers
    items = jnp.pad(items, [(0, n_added * items_per_layer), *[(0, 0)] * (items.ndim - 1)])
    items = items.reshape(n_slabs, layers_per_slab * items_per_layer, *items.shape[1:])

    def cut(leaf: jax.Array) -> jax.Array:
        leaf = jnp.pad(leaf, [(0, 0), (0, n_added), (0, 0), (0, 0)])
        return leaf.reshape(3, n_slabs, layers_per_slab, *leaf.shape[2:]).transpose(1, 0, 2, 3, 4)

    results = lax.map(lambda slab: function(*slab), (items, TransformPlan(*map(cut, plan))))
    results_per_layer = results.shape[1] // layers_per_slab
    return results.reshape(-1, *results.shape[2:])[: n_layers * results_per_layer]


def _analyse_slab(planar: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """Transform a slab whose borders along z are filtered: coefficients (8, 8, 8, n) of planar blocks."""
    strides, plan = block_strides(plan), flatten_plan(plan)
    tables = filter_tables()
    change, norms = jnp.asarray(tables.changes)[filter_index], jnp.asarray(tables.norms)[filter_index]
    for axis in (1, 2):
        planar = filter_blocks(planar, axis, plan, change, strides[axis])
    for axis, stride in enumerate(strides):
        planar = _transform_axis(planar, axis, plan, stride, inverse=False)
    return _mix_dc(_scale(planar, plan, norms), plan, strides)


def _synthesize_slab(planar: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """Compute planar blocks, to be filtered along z, from coefficients; the inverse of ``_analyse_slab``."""
    strides, plan = block_strides(plan), flatten_plan(plan)
    tables = filter_tables()
    change, norms = jnp.asarray(tables.inverse_changes)[filter_index], jnp.asarray(tables.norms)[filter_index]
    planar = _scale(_mix_dc(planar, plan, strides), plan, 1 / norms)
    for axis, stride in enumerate(strides):
        planar = _transform_axis(planar, axis, plan, stride, inverse=True)
    for axis in (2, 1):
        planar = filter_blocks(planar, axis, plan, change, strides[axis])
    return planar


def _transform_axis(
    planar: jax.Array, axis: int, plan: TransformPlan, stride: int, *, inverse: bool
) -> jax.Array:
    """Take the DCT of blocks along an axis, or its inverse; of large blocks, that of their folded halves."""
    even, odd = (jnp.asarray(dct_matrix(BLOCK_SIZE, shifted), jnp.float32) for shifted in (False, True))
    even, odd = (even.T, odd.T) if inverse else (even, odd)

    def transform_mixed(planar: jax.Array) -> jax.Array:
        planar = planar if inverse else _fold(planar, axis, stride, plan)
        is_odd = plan.second_half[axis]
        result = jnp.where(is_odd, multiply(odd, planar, axis), multiply(even, planar, axis))
        return _unfold(result, axis, stride, plan) if inverse else result

    # Without large blocks half the work suffices. The branch also keeps XLA from fusing the transform into
    # its readers, which would compute it once for each.
    return lax.cond(
        jnp.any(plan.second_half), transform_mixed, lambda planar: multiply(even, planar, axis), planar
    )


def _fold(planar: jax.Array, axis: int, stride: int, plan: TransformPlan) -> jax.Array:
    """Replace the halves of large blocks: the first by sums of mirrored voxels, the second by differences."""
    planes, root = split_planes(planar, axis), jnp.float32(math.sqrt(0.5))
    first, second = plan.first_half[axis][None, None], plan.second_half[axis][None, None]
    last = BLOCK_SIZE - 1

    def folded(i: int) -> jax.Array:
        total = (planes[i] + next_block(planes[last - i], stride)) * root
        difference = (previous_block(planes[i], stride) - planes[last - i]) * root
        return jnp.where(first, total, jnp.where(second, difference, planes[i]))

    return jnp.stack([folded(i) for i in range(BLOCK_SIZE)], axis=axis)


def _unfold(planar: jax.Array, axis: int, stride: int, plan: TransformPlan) -> jax.Array:
    """Compute the halves of large blocks from sums and differences; the inverse of ``_fold``."""
    planes, root = split_planes(planar, axis), jnp.float32(math.sqrt(0.5))
    first, second = plan.first_half[axis][None, None], plan.second_half[axis][None, None]
    last = BLOCK_SIZE - 1

    def unfolded(i: int) -> jax.Array:
        near = (planes[i] + next_block(planes[i], stride)) * root
        far = (previous_block(planes[last - i], stride) - planes[last - i]) * root
        return jnp.where(first, near, jnp.where(second, far, planes[i]))

    return jnp.stack([unfolded(i) for i in range(BLOCK_SIZE)], axis=axis)


def _scale(planar: jax.Array, plan: TransformPlan, norms: jax.Array) -> jax.Array:
    """Multiply coefficients by the norms, (12, 8), of their synthesis functions."""
    size_row = jnp.where(plan.first_half, 1, jnp.where(plan.second_half, 2, 0))
    rows = norm_rows(plan, size_row)

    def scaled(planar: jax.Array) -> jax.Array:
        for axis, factors in enumerate(norms[rows].transpose(0, 2, 1)):
            planar = planar * jnp.expand_dims(factors, [i for i in range(3) if i != axis])
        return planar

    return lax.cond(jnp.any(plan.crossed), scaled, lambda planar: planar, planar)


def _mix_dc(planar: jax.Array, plan: TransformPlan, strides: tuple[int, int, int]) -> jax.Array:
    """Mix the eight lowest coefficients of large blocks, so that each is about the DC of a block of 8³.

    They then suit the prediction of DC from neighbours. The mixing is its own inverse.
    """
    dc, root = planar[0, 0, 0], jnp.float32(math.sqrt(0.5))
    for axis, stride in enumerate(strides):
        total = (dc + next_block(dc, stride)) * root
        difference = (previous_block(dc, stride) - dc) * root
        dc = jnp.where(plan.first_half[axis], total, jnp.where(plan.second_half[axis], difference, dc))
    return planar.at[0, 0, 0].set(dc)
