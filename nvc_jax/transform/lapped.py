"""The lapped block transform: a filter across block borders, then an orthonormal DCT of each block.

The filter takes the place of the paper's overlapping margins (section 2.3) at no redundancy: four voxels on
either side of a border are mixed before blocks are cut and unmixed after they are assembled, so that a
block's basis functions reach into its neighbours and fade out (Tran, Liang and Tu, 2003). Blocks are 8³;
where a superblock of 2 × 2 × 2 blocks is *large*, it is one block of 16³: a butterfly folds its halves, the DCT
of the first half are its even frequencies, a DCT-IV of the second its odd ones. So a large block has eight
cells of 512 latents that look like those of 8³ blocks.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import check_shape
from nvc_jax.transform.block_dct import (
    BLOCK_SIZE,
    N_COEFFICIENTS,
    dct_matrix,
    from_planar,
    multiply,
    next_block,
    previous_block,
    split_planes,
    to_planar,
)
from nvc_jax.transform.lapped_filter import filter_blocks, filter_depth, filter_tables
from nvc_jax.transform.plan import TransformPlan, block_strides, flatten_plan

_ANALYSED_AT_ONCE, _SYNTHESIZED_AT_ONCE = 4096, 512
"""Blocks of a slab each way: analysis in one slab needs no copies, synthesis is faster within the cache."""


def _fold(cells: jax.Array, axis: int, stride: int, plan: TransformPlan) -> jax.Array:
    """Put the sums of large blocks' mirrored halves in the first's place, differences in the second's."""
    planes, root = split_planes(cells, axis), jnp.float32(math.sqrt(0.5))
    first, second = plan.first[axis][None, None], plan.second[axis][None, None]

    def folded(i: int) -> jax.Array:
        total = (planes[i] + next_block(planes[7 - i], stride)) * root
        difference = (previous_block(planes[i], stride) - planes[7 - i]) * root
        return jnp.where(first, total, jnp.where(second, difference, planes[i]))

    return jnp.stack([folded(i) for i in range(BLOCK_SIZE)], axis=axis)


def _unfold(cells: jax.Array, axis: int, stride: int, plan: TransformPlan) -> jax.Array:
    """The inverse of ``_fold``."""
    planes, root = split_planes(cells, axis), jnp.float32(math.sqrt(0.5))
    first, second = plan.first[axis][None, None], plan.second[axis][None, None]

    def unfolded(i: int) -> jax.Array:
        near = (planes[i] + next_block(planes[i], stride)) * root
        far = (previous_block(planes[7 - i], stride) - planes[7 - i]) * root
        return jnp.where(first, near, jnp.where(second, far, planes[i]))

    return jnp.stack([unfolded(i) for i in range(BLOCK_SIZE)], axis=axis)


def _mix_dc(cells: jax.Array, plan: TransformPlan, strides: tuple[int, int, int]) -> jax.Array:
    """Turn the lowest frequencies of large blocks' cells into something like eight means; its own inverse."""
    mean, root = cells[0, 0, 0], jnp.float32(math.sqrt(0.5))
    for axis, stride in enumerate(strides):
        total = (mean + next_block(mean, stride)) * root
        difference = (previous_block(mean, stride) - mean) * root
        mean = jnp.where(plan.first[axis], total, jnp.where(plan.second[axis], difference, mean))
    return cells.at[0, 0, 0].set(mean)


def _scale(cells: jax.Array, plan: TransformPlan, norms: jax.Array) -> jax.Array:
    """Cells times what an error of 1 in each latent adds to the volume, by ``norms`` of ``_norms``."""
    kind = jnp.where(plan.first, 1, jnp.where(plan.second, 2, 0))
    row = 4 * kind + 2 * plan.before.astype(jnp.int32) + plan.after.astype(jnp.int32)

    def scaled(cells: jax.Array) -> jax.Array:
        for axis, along in enumerate(norms[row].transpose(0, 2, 1)):
            cells = cells * jnp.expand_dims(along, [i for i in range(3) if i != axis])
        return cells

    return lax.cond(jnp.any(plan.crossed), scaled, lambda cells: cells, cells)


def dc_norms(plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """What a block's lowest latent is over its mean and √512, about: float32 (z, y, x)."""
    norms = jnp.asarray(filter_tables()[2])[filter_index, :, 0]
    is_large = (plan.first | plan.second).astype(jnp.int32)
    row = 4 * is_large + 2 * plan.before.astype(jnp.int32) + plan.after.astype(jnp.int32)
    return jnp.prod(norms[row], axis=0)


def _cosines(cells: jax.Array, axis: int, plan: TransformPlan, stride: int, *, inverse: bool) -> jax.Array:
    """Blocks' DCT along an axis; of large ones that of their folded halves."""
    even, odd = (jnp.asarray(dct_matrix(BLOCK_SIZE, half), jnp.float32) for half in (False, True))
    even, odd = (even.T, odd.T) if inverse else (even, odd)

    def mixed(cells: jax.Array) -> jax.Array:
        cells = cells if inverse else _fold(cells, axis, stride, plan)
        result = jnp.where(plan.second[axis], multiply(odd, cells, axis), multiply(even, cells, axis))
        return _unfold(result, axis, stride, plan) if inverse else result

    # Without large blocks there is half as much to do. And branches are compiled apart: fused with what
    # follows, everything would be computed anew for each of its readers.
    return lax.cond(jnp.any(plan.second), mixed, lambda cells: multiply(even, cells, axis), cells)


def _analyse_slab(cells: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """Latents of a slab whose borders along z are filtered, both (8, 8, 8, n): see ``map_coefficients``."""
    strides, plan = block_strides(plan), flatten_plan(plan)
    change, _, norms = (jnp.asarray(table)[filter_index] for table in filter_tables())
    for axis in (1, 2):
        cells = filter_blocks(cells, axis, plan, change, strides[axis])
    for axis, stride in enumerate(strides):
        cells = _cosines(cells, axis, plan, stride, inverse=False)
    return _mix_dc(_scale(cells, plan, norms), plan, strides)


def _synthesize_slab(cells: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """The inverse of ``_analyse_slab``."""
    strides, plan = block_strides(plan), flatten_plan(plan)
    _, change, norms = (jnp.asarray(table)[filter_index] for table in filter_tables())
    cells = _scale(_mix_dc(cells, plan, strides), plan, 1 / norms)
    for axis, stride in enumerate(strides):
        cells = _cosines(cells, axis, plan, stride, inverse=True)
    for axis in (2, 1):
        cells = filter_blocks(cells, axis, plan, change, strides[axis])
    return cells


def _map_slabs(
    function: Callable[[jax.Array, TransformPlan], jax.Array],
    items: jax.Array,
    plan: TransformPlan,
    layer: int,
    at_once: int,
) -> jax.Array:
    """Map slabs of whole layers of superblocks, so that what lies between stays in cache.

    Args:
        function: takes a slab of ``items`` and its plan; returns an array whose first axis goes with that of
            its argument, layer by layer.
        items: first axis: ``layer`` entries for each layer of blocks.
        plan: of the whole grid.
        layer: entries of a layer.
        at_once: blocks of a slab, about.
    """
    n_layers = plan.crossed.shape[1]
    per_slab = max(2, at_once // math.prod(plan.crossed.shape[2:]) // 2 * 2)
    if n_layers <= per_slab:
        return function(items, plan)
    n_slabs = -(-n_layers // per_slab)
    missing = n_slabs * per_slab - n_layers
    items = jnp.pad(items, [(0, missing * layer), *[(0, 0)] * (items.ndim - 1)])
    items = items.reshape(n_slabs, per_slab * layer, *items.shape[1:])

    def cut(leaf: jax.Array) -> jax.Array:
        leaf = jnp.pad(leaf, [(0, 0), (0, missing), (0, 0), (0, 0)])
        return leaf.reshape(3, n_slabs, per_slab, *leaf.shape[2:]).transpose(1, 0, 2, 3, 4)

    result = lax.map(lambda slab: function(*slab), (items, TransformPlan(*map(cut, plan))))
    each = result.shape[1] // per_slab
    return result.reshape(-1, *result.shape[2:])[: n_layers * each]


def map_coefficients(
    function: Callable[[jax.Array], jax.Array],
    volume: jax.Array,
    plan: TransformPlan,
    filter_index: jax.Array,
) -> jax.Array:
    """Transform a volume and map its latents, slab by slab.

    Args:
        function: takes latents (8, 8, 8, n), frequencies z, y, x by blocks; returns an array (n, …).
        volume: float32 (z, y, x), sides multiples of 8.
        plan: how its blocks are transformed.
        filter_index: int32, of ``FILTERS``; may be traced.

    Returns:
        The function's results for all blocks in z, y, x order.
    """

    def one(slab: jax.Array, plan: TransformPlan) -> jax.Array:
        return function(_analyse_slab(to_planar(slab), plan, filter_index))

    volume = filter_depth(volume, plan, filter_tables()[0], filter_index)
    return _map_slabs(one, volume, plan, BLOCK_SIZE, _ANALYSED_AT_ONCE)


def forward(volume: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """Latents of a volume.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        plan: how its blocks are transformed.
        filter_index: int32, of ``FILTERS``; may be traced.

    Returns:
        float32 (blocks, 512); frequencies in z, y, x order, blocks in z, y, x order. They are scaled so that
        an error of 1 in any latent adds 1 to the volume's squared error, near enough.
    """
    return map_coefficients(lambda cells: cells.reshape(N_COEFFICIENTS, -1).T, volume, plan, filter_index)


def inverse(latents: jax.Array, plan: TransformPlan, filter_index: jax.Array) -> jax.Array:
    """The volume of ``forward``'s latents: float32 (z, y, x), sides multiples of 8."""

    def one(slab: jax.Array, plan: TransformPlan) -> jax.Array:
        cells = _synthesize_slab(slab.T.reshape(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, -1), plan, filter_index)
        return from_planar(cells, check_shape(plan.crossed.shape[1:]))

    volume = _map_slabs(one, latents, plan, math.prod(plan.crossed.shape[2:]), _SYNTHESIZED_AT_ONCE)
    return filter_depth(volume, plan, filter_tables()[1], filter_index)
