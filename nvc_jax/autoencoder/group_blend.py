"""Kernel of GPUs that blends the margins of blocks; ``whole_volume.assemble`` has its specification.

A program computes a part of a row of voxels. Along each axis a voxel lies in the core of one block, and may
lie in the margin of another one. So eight values are blended, at addresses that are sums of one offset for
each axis: some 110 instructions for a voxel. XLA makes one kernel of the specification, too, but it computes
every address anew, in 1,500 instructions.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blending import neighbour_weights
from nvc_jax.autoencoder.group_indices import LARGEST_INDEX, divide
from nvc_jax.core.group_kernels import run_groups, store_where, this_group
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.shapes import Shape3

PART_VOXELS = 128
"""Voxels of a row that one program blends: 4 for each thread of a warp."""


class _Geometry(NamedTuple):
    """Sizes that a kernel knows.

    Attributes:
        grid: blocks along each axis.
        block_size: side of a block's core in voxels.
        margin: width of a block's margin in voxels; at most half of the block size.
        shape: of the volume.
    """

    grid: Shape3
    block_size: int
    margin: int
    shape: Shape3


class _Taps(NamedTuple):
    """Places of voxels along one axis in the blocks.

    Attributes:
        own: offset in the block whose core the voxel is in.
        other: offset in the neighbour that overlaps it there; ``own`` where there is none.
        weight: of the neighbour.
    """

    own: jax.Array
    other: jax.Array
    weight: jax.Array

    def blend(self, load: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """Blend what is at both offsets."""
        own = load(self.own)
        return own + self.weight * (load(self.other) - own)


def can_blend(blocks: jax.Array, block_size: int, margin: int, shape: Shape3) -> bool:
    """Tell whether the kernel takes such blocks: 32-bit indices, and one neighbour along an axis."""
    return 2 * margin <= block_size and max(blocks.size, math.prod(shape)) <= LARGEST_INDEX


def blend(
    blocks: jax.Array,
    limits: tuple[jax.Array, jax.Array],
    margin: int,
    shape: Shape3,
    dtype: str,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Blend blocks (grid_z, grid_y, grid_x, side, side, side); see ``whole_volume.assemble``."""
    block_size = blocks.shape[3] - 2 * margin
    geometry = _Geometry((blocks.shape[0], blocks.shape[1], blocks.shape[2]), block_size, margin, shape)
    exists = np.ones(1, np.float32)
    weights = sum(neighbour_weights(block_size, margin, exists, exists, axis=0))
    n_programs = shape[0] * shape[1] * -(-shape[2] // PART_VOXELS)
    # Triton's language cannot round to the nearest integer, which is left to XLA.
    is_float = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    kept_dtype = jnp.dtype(dtype) if is_float else jnp.dtype(jnp.float32)
    (volume,) = run_groups(
        functools.partial(_blend_part, geometry, is_float),
        n_programs,
        [jax.ShapeDtypeStruct((math.prod(shape),), kept_dtype)],
        blocks.reshape(-1),
        jnp.asarray(weights),
        jnp.stack(limits),
        interpret=interpret,
    )
    volume = volume.reshape(shape)
    return volume if is_float else denormalize(volume, *limits, dtype)


def _blend_part(
    geometry: _Geometry, has_range: bool, blocks: Any, weights: Any, limits: Any, volume: Any
) -> None:
    """Blend a part of a row of voxels.

    Args:
        geometry: of the blocks.
        has_range: whether voxels are mapped to the volume's range, or stay in [0, 1].
        blocks: flat.
        weights: float32 (block_size,), of the neighbour in the voxels of a core.
        limits: float32 (2,), ends of the volume's range.
        volume: flat, the result.
    """
    _, height, width = geometry.shape
    n_parts = -(-width // PART_VOXELS)
    row, part = divide(this_group(), n_parts)
    plane_and_row = divide(row, height)
    x = part * PART_VOXELS + lax.iota(jnp.int32, PART_VOXELS)
    in_volume = x < width
    along_z, along_y, along_x = (
        _find_taps(geometry, axis, position, weights)
        for axis, position in enumerate((*plane_and_row, jnp.minimum(x, width - 1)))
    )

    blended = along_z.blend(
        lambda z: along_y.blend(lambda y: along_x.blend(lambda x: blocks[z + y + x].astype(jnp.float32)))
    )
    values = denormalize(blended, limits[0], limits[1], volume.dtype) if has_range else blended
    store_where(volume, (row * width + x,), values, in_volume)


def _find_taps(geometry: _Geometry, axis: int, position: jax.Array, weights: Any) -> _Taps:
    """Find the places of voxels along an axis, int32 of any shape."""
    b, m = geometry.block_size, geometry.margin
    side = b + 2 * m
    voxel_stride = side ** (2 - axis)
    block_stride = side**3 * math.prod(geometry.grid[axis + 1 :])
    block, voxel = divide(position, b)
    step = jnp.where(voxel < b - m, jnp.full_like(voxel, -1), jnp.full_like(voxel, 1))
    neighbour = block + step
    exists = ((voxel < m) | (voxel >= b - m)) & (neighbour >= 0) & (neighbour < geometry.grid[axis])
    own = block * block_stride + (voxel + m) * voxel_stride
    other = neighbour * block_stride + (voxel + m - step * b) * voxel_stride
    return _Taps(own, jnp.where(exists, other, own), jnp.where(exists, weights[voxel], 0.0))
