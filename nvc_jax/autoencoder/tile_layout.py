"""Coding of volumes at once on TPUs, whose memory is in tiles of 8×128 numbers.

An array whose last axis is as short as a block fills 8 of the 128 numbers of a tile's row. So the last axis
here goes through the columns of blocks along x, one for each z and y of the block grid, and the voxels of a
block are along the first axes: (voxel z, voxel y, grid x, voxel x, column). Matrix products read and write
this order as it is. From it to the volume it takes a transposition of whole tiles, and one of rows.

The values are those of ``whole_volume``, up to the order of sums.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from nvc_jax.autoencoder.blending import blend_neighbours, neighbour_weights, shift
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape


def encode(model: DenseAutoencoder, volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """Encode a volume by its finite range: float32 (grid_z, grid_y, grid_x, latent_dim).

    Blocks with margins are not cut. Parts of the first layer's kernel are multiplied with the cores that they
    reach into, and the products of neighbouring cores are added.
    """
    b, m, side = model.config.block_size, model.config.margin, model.config.side
    grid = grid_shape(check_shape(volume.shape), b)
    reach = [(i, i * b, min(side, (i + 1) * b)) for i in range(-(-side // b))]
    cores = check_shape(tuple(n + len(reach) - 1 for n in grid))
    padding = [(m, n * b - m - length) for n, length in zip(cores, volume.shape, strict=True)]
    padded = jnp.pad(volume, padding, constant_values=minimum.astype(volume.dtype))
    columns = normalize(_to_columns(padded, cores, b), minimum, maximum)

    kernel = model.encoder[0].kernel[...].reshape(side, side, side, -1)
    units = kernel.shape[-1]
    kernel = jnp.pad(kernel, [(0, 0), (0, 0), (0, len(reach) * b - side), (0, 0)])
    kernel = jnp.concatenate(jnp.split(kernel, len(reach), axis=2), axis=-1)
    total = jnp.zeros((grid[2], cores[0] * cores[1], units))
    for (z, z_start, z_stop), (y, y_start, y_stop) in itertools.product(reach, reach):
        part = columns[: z_stop - z_start, : y_stop - y_start]
        part = part.reshape(-1, cores[2], b, part.shape[-1])
        part_kernel = kernel[z_start:z_stop, y_start:y_stop].reshape(len(part), b, -1)
        products = jnp.einsum("kgxr,kxh->grh", part, part_kernel, precision=model.arithmetic.precision)
        of_x = [products[x : x + grid[2], :, x * units : (x + 1) * units] for x, _, _ in reach]
        total = total + shift(sum(of_x[1:], start=of_x[0]), -(z * cores[1] + y), axis=1)
    latents = model.encode_products(total.reshape(-1, units))[0]
    latents = latents.reshape(grid[2], *cores[:2], -1).transpose(1, 2, 0, 3)
    return latents[: grid[0], : grid[1]]


def decode(model: DenseAutoencoder, encoded: EncodedLatents, mode: str) -> jax.Array:
    """Decode a volume, cropped or blended; margins are at most half as wide as a block."""
    b, m, side = model.config.block_size, model.config.margin, model.config.side
    grid = check_shape(encoded.latents.shape[:3])
    latents = encoded.latents.transpose(2, 0, 1, 3)
    hidden = model.decode_hidden(latents.reshape(-1, latents.shape[-1]))
    assert model.output.bias is not None
    kernel = model.output.kernel[...].reshape(-1, side, side, side)
    bias = model.output.bias[...].reshape(1, side, side, side)

    def decode_voxels(kernel: jax.Array, bias: jax.Array) -> jax.Array:
        """Decode some voxels of all blocks: (z, y, grid x, x, column)."""
        products = lax.dot_general(
            kernel.reshape(len(kernel), -1),
            hidden,
            (((0,), (1,)), ((), ())),
            precision=model.arithmetic.precision,
        )
        voxels = nnx.sigmoid(products + bias.reshape(-1, 1))
        voxels = voxels.reshape(*kernel.shape[1:], grid[2], grid[0] * grid[1])
        return voxels.transpose(0, 1, 3, 2, 4)

    core = slice(m, m + b)
    if mode == "blend":
        cores = decode_voxels(*(part[..., core] for part in (kernel, bias)))
        margins = decode_voxels(*(_margins_in_place(part, b, m) for part in (kernel, bias)))
        columns = _blend_across_columns(_blend_along_x(cores, margins, m), grid, m)
    else:
        columns = decode_voxels(*(part[:, core, core, core] for part in (kernel, bias)))
    values = denormalize(columns, encoded.minimum, encoded.maximum, encoded.dtype)
    depth, height, width = encoded.shape
    return _from_columns(values, grid)[:depth, :height, :width]


def _to_columns(volume: jax.Array, grid: Shape3, block_size: int) -> jax.Array:
    """Order the voxels of whole blocks: (voxel z, voxel y, grid x, voxel x, column)."""
    b = block_size
    rows = volume.reshape(grid[0], b, grid[1], b, -1).transpose(1, 3, 0, 2, 4)
    # Barriers keep the two steps apart. At once they would be taken number by number.
    rows = lax.optimization_barrier(rows.reshape(b, b, grid[0] * grid[1], -1))
    columns = lax.optimization_barrier(rows.transpose(0, 1, 3, 2))
    return columns.reshape(b, b, grid[2], b, -1)


def _from_columns(columns: jax.Array, grid: Shape3) -> jax.Array:
    """Invert ``_to_columns``."""
    b = columns.shape[0]
    columns = lax.optimization_barrier(columns.reshape(b, b, grid[2] * b, -1))
    rows = lax.optimization_barrier(columns.transpose(0, 1, 3, 2))
    rows = rows.reshape(b, b, grid[0], grid[1], -1).transpose(2, 0, 3, 1, 4)
    return rows.reshape(*(n * b for n in grid))


def _margins_in_place(part: jax.Array, block_size: int, margin: int) -> jax.Array:
    """Move both margins along the last axis to the places of the voxels that they overlap in neighbours."""
    tail, head = part[..., block_size + margin :], part[..., :margin]
    gap = jnp.zeros((*part.shape[:-1], block_size - 2 * margin), part.dtype)
    return jnp.concatenate([tail, gap, head], axis=-1)


def _blend_along_x(cores: jax.Array, margins: jax.Array, margin: int) -> jax.Array:
    """Blend cores with the margins of their neighbours in the same column; both (z, y, grid x, x, column)."""
    n, block_size = cores.shape[2:4]
    index = np.arange(n).reshape(1, 1, n, 1, 1)
    has_previous, has_next = ((index > 0).astype(np.float32), (index < n - 1).astype(np.float32))
    weights = neighbour_weights(block_size, margin, has_previous, has_next, axis=3)
    from_neighbours = [
        weight * (shift(margins, by, axis=2) - cores) for weight, by in zip(weights, (1, -1), strict=True)
    ]
    return cores + from_neighbours[0] + from_neighbours[1]


def _blend_across_columns(blocks: jax.Array, grid: Shape3, margin: int) -> jax.Array:
    """Blend blocks (z, y, grid x, x, column) with their neighbours along y, and then along z."""
    column = np.arange(grid[0] * grid[1]).reshape(1, 1, 1, 1, -1)
    for axis, distance, index in ((1, 1, column % grid[1]), (0, grid[1], column // grid[1])):
        side = blocks.shape[axis]
        tail = lax.slice_in_dim(blocks, side - margin, side, axis=axis)
        head = lax.slice_in_dim(blocks, 0, margin, axis=axis)
        blocks = blend_neighbours(
            blocks,
            shift(tail, distance, axis=4),
            shift(head, -distance, axis=4),
            index > 0,
            index < grid[axis] - 1,
            margin,
            axis,
        )
    return blocks
