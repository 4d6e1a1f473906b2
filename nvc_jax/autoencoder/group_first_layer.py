"""Kernel of GPUs that computes an encoder's first layer and reads blocks directly from the volume.

Its specification is the first product of ``DenseAutoencoder.encode`` with the blocks of
``whole_volume.encode``. XLA writes these blocks to memory, margins included, and reads them again.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.arithmetic import Arithmetic
from nvc_jax.autoencoder.group_indices import LARGEST_INDEX, divide
from nvc_jax.core.normalization import normalize
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

TILE_BLOCKS, TILE_VOXELS = 64, 64
"""Blocks of one program, and voxels of each that it multiplies at a time."""
UNITS = (16, 32, 64, 128, 256)
"""Outputs of a layer that the kernel takes: powers of two, whose sums fit into registers."""
_UNITS_PER_WARP = 16
"""With fewer warps, compilers keep some of the 128 sums of a block in memory, for lack of registers."""


class _Geometry(NamedTuple):
    """Sizes that a kernel knows.

    Attributes:
        shape: of the volume.
        grid: blocks along each axis.
        block_size: side of a block's core in voxels.
        margin: width of a block's margin in voxels.
    """

    shape: Shape3
    grid: Shape3
    block_size: int
    margin: int

    @property
    def side(self) -> int:
        """Side of a block with its margins."""
        return self.block_size + 2 * self.margin


def can_multiply(volume: jax.Array, units: int, block_size: int) -> bool:
    """Tell whether the kernel takes such a volume and layer."""
    n_blocks = math.prod(grid_shape(check_shape(volume.shape), block_size))
    return units in UNITS and max(volume.size, n_blocks * units) <= LARGEST_INDEX


def multiply(
    volume: jax.Array,
    limits: tuple[jax.Array, jax.Array],
    kernel: jax.Array,
    block_size: int,
    margin: int,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Multiply the blocks of a volume, normalised and in float16, by the kernel of the first layer.

    Args:
        volume: (z, y, x), a device dtype.
        limits: minimum and maximum of the range, float32.
        kernel: float32 (side³, units), side = block_size + 2·margin.
        block_size: side of a block's core in voxels.
        margin: width of a block's margin in voxels.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        float32 (n_blocks, units).
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    shape = check_shape(volume.shape)
    geometry = _Geometry(shape, grid_shape(shape, block_size), block_size, margin)
    n_blocks, (n_voxels, units) = math.prod(geometry.grid), kernel.shape
    padding = [(0, -n_voxels % TILE_VOXELS), (0, 0)]
    kept = jnp.pad(Arithmetic(is_half=True).keep(kernel), padding)
    return pallas.pallas_call(
        functools.partial(_multiply_tile, geometry),
        out_shape=jax.ShapeDtypeStruct((n_blocks, units), jnp.float32),
        grid=(-(-n_blocks // TILE_BLOCKS),),
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=max(4, units // _UNITS_PER_WARP), num_stages=2),
    )(volume.reshape(-1), jnp.stack(limits), kept.reshape(-1, TILE_VOXELS, units))


def _multiply_tile(geometry: _Geometry, volume: Any, limits: Any, kernel: Any, products: Any) -> None:
    """Multiply the blocks of one program.

    Args:
        geometry: of the blocks.
        volume: flat.
        limits: float32 (2,).
        kernel: float16 (parts, ``TILE_VOXELS``, units).
        products: float32 (n_blocks, units), the result.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    n_blocks, units = products.shape
    number = pallas.program_id(0) * TILE_BLOCKS + lax.iota(jnp.int32, TILE_BLOCKS)
    rest, grid_x = divide(jnp.minimum(number, n_blocks - 1), geometry.grid[2])
    grid_z, grid_y = divide(rest, geometry.grid[1])
    corner = [n * geometry.block_size - geometry.margin for n in (grid_z, grid_y, grid_x)]
    first_place = _place(geometry.shape, *corner)

    def add_part(part: jax.Array, sums: jax.Array) -> jax.Array:
        voxel = part * TILE_VOXELS + lax.iota(jnp.int32, TILE_VOXELS)
        rest, x = divide(voxel, geometry.side)
        z, y = divide(rest, geometry.side)
        place = first_place[:, None] + _place(geometry.shape, z, y, x)[None]
        inside = jnp.broadcast_to((z < geometry.side)[None], place.shape)
        for start, offset, length in zip(corner, (z, y, x), geometry.shape, strict=True):
            if geometry.margin or length % geometry.block_size:
                position = start[:, None] + offset[None]
                inside &= (position >= 0) & (position < length)
        place = jnp.where(inside, place, 0)
        zero = jnp.zeros((), volume.dtype)
        values = normalize(triton.load(volume.at[place], mask=inside, other=zero), limits[0], limits[1])
        values = jnp.where(inside, values, 0.0).astype(jnp.float16)
        return sums + triton.dot(values, kernel[part])

    sums = jnp.zeros((TILE_BLOCKS, units), jnp.float32)
    sums = lax.fori_loop(0, kernel.shape[0], add_part, sums)
    unit = jnp.broadcast_to(lax.iota(jnp.int32, units)[None], sums.shape)
    block = jnp.broadcast_to(number[:, None], sums.shape)
    triton.store(products.at[block, unit], sums, mask=block < n_blocks)


def _place(shape: Shape3, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Compute the places of voxels in a flat volume."""
    return (z * shape[1] + y) * shape[2] + x
