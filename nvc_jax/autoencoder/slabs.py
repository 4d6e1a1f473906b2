"""Coding of volumes slab by slab: the form of CPUs, which keeps intermediate arrays in cache.

Other devices decode slab by slab, too, if margins are so wide that all blocks at once would take too much
memory.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.blending import blend_axis, blend_neighbours
from nvc_jax.autoencoder.blocks import copy_blocks, pad_to_grid
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import BlockAutoencoder
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

BLOCKS_PER_SLAB = 1024
"""Blocks that pass through the network at a time: intermediates stay in cache, memory stays bounded."""


def _slab_shape(grid: Shape3, blocks_per_slab: int) -> tuple[int, int]:
    """Layers of blocks along z, and rows along y, that make about ``blocks_per_slab`` blocks."""
    blocks_per_layer = grid[1] * grid[2]
    if blocks_per_layer <= blocks_per_slab:
        n_slabs = math.ceil(grid[0] / (blocks_per_slab // blocks_per_layer))
        return math.ceil(grid[0] / n_slabs), grid[1]
    n_slabs = math.ceil(grid[1] / max(1, blocks_per_slab // grid[2]))
    return 1, math.ceil(grid[1] / n_slabs)


def encode_slabs(
    model: BlockAutoencoder,
    blocks_per_slab: int,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
) -> jax.Array:
    """Encode a volume by its finite range: float32 (grid_z, grid_y, grid_x, latent_dim).

    Args:
        model: with its parameters.
        blocks_per_slab: blocks to encode at a time, about.
        volume: (z, y, x), a device dtype.
        minimum: of the range, float32.
        maximum: likewise.
    """
    b, m = model.config.block_size, model.config.margin
    grid = grid_shape(check_shape(volume.shape), b)
    layers, rows = _slab_shape(grid, blocks_per_slab)
    n_z, n_y = math.ceil(grid[0] / layers), math.ceil(grid[1] / rows)

    # The minimum normalises to the zero that the paper pads with.
    padded = pad_to_grid(volume, (n_z * layers, n_y * rows, grid[2]), b, m, fill=minimum)
    slab_shape = (layers * b + 2 * m, rows * b + 2 * m, padded.shape[2])

    def encode_slab(index: jax.Array) -> jax.Array:
        corner = (index // n_y * (layers * b), index % n_y * (rows * b), jnp.zeros_like(index))
        slab = normalize(lax.dynamic_slice(padded, corner, slab_shape), minimum, maximum)
        return model.encode(copy_blocks(slab, b, m))[0]

    latents = lax.map(encode_slab, jnp.arange(n_z * n_y))
    latents = latents.reshape(n_z, n_y, layers, rows, grid[2], -1).transpose(0, 2, 1, 3, 4, 5)
    return latents.reshape(n_z * layers, n_y * rows, grid[2], -1)[: grid[0], : grid[1]]


def decode_slabs(model: BlockAutoencoder, blocks_per_slab: int, encoded: EncodedLatents) -> jax.Array:
    """Decode cores; each slab is converted to the volume's dtype and assembled while in cache.

    The conversion comes before the transposition of voxels, because small values are cheaper to move.
    """
    b = model.config.block_size
    grid = check_shape(encoded.latents.shape[:3])
    layers, rows = _slab_shape(grid, blocks_per_slab)
    n_z, n_y = math.ceil(grid[0] / layers), math.ceil(grid[1] / rows)
    widths = [(0, n_z * layers - grid[0]), (0, n_y * rows - grid[1]), (0, 0), (0, 0)]
    latents = jnp.pad(encoded.latents, widths)
    latents = latents.reshape(n_z, layers, n_y, rows, grid[2], -1).transpose(0, 2, 1, 3, 4, 5)

    def decode_slab(latents: jax.Array) -> jax.Array:
        cores = model.decode_core(latents.reshape(-1, latents.shape[-1]))
        cores = denormalize(cores, encoded.minimum, encoded.maximum, encoded.dtype)
        # One row of blocks at a time: XLA would otherwise fuse the transposition into the network's
        # last layer, which then runs element by element.
        strips = lax.map(lambda row: row.transpose(1, 2, 0, 3), cores.reshape(layers * rows, -1, b, b, b))
        slab = strips.reshape(layers, rows, b, b, -1).transpose(0, 2, 1, 3, 4)
        return slab.reshape(layers * b, rows * b, -1)

    slabs = lax.map(decode_slab, latents.reshape(n_z * n_y, -1, latents.shape[-1]))
    slabs = slabs.reshape(n_z, n_y, layers * b, rows * b, -1).transpose(0, 2, 1, 3, 4)
    depth, height, width = encoded.shape
    return slabs.reshape(n_z * layers * b, n_y * rows * b, -1)[:depth, :height, :width]


def decode_layers(model: BlockAutoencoder, encoded: EncodedLatents) -> jax.Array:
    """Decode layer by layer of blocks, blending the margins of neighbouring layers.

    Blocks are laid out voxel-major (voxel z, y, x, then grid y, x), because slices of a few voxels along a
    margin are then long runs in memory.
    """
    n_layers, *layer_grid, _ = encoded.latents.shape
    b, m = model.config.block_size, model.config.margin
    side = model.config.side

    def decode_layer(index: jax.Array) -> jax.Array:
        latents = lax.dynamic_index_in_dim(encoded.latents, index, keepdims=False)
        blocks = model.decode(latents.reshape(-1, latents.shape[-1]))
        blocks = blocks.reshape(-1, side**3).T.reshape(side, side, side, *layer_grid)
        blocks = blend_axis(blocks, m, grid_axis=4, voxel_axis=2)
        return blend_axis(blocks, m, grid_axis=3, voxel_axis=1)

    def blend_layer(
        carry: tuple[jax.Array, jax.Array], index: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        tail, current = carry
        following = decode_layer(jnp.minimum(index + 1, n_layers - 1))
        position = jnp.full((1,) * current.ndim, index)
        cores = blend_neighbours(
            current, tail, following[:m], position > 0, position < n_layers - 1, m, axis=0
        )
        cores = denormalize(cores, encoded.minimum, encoded.maximum, encoded.dtype)
        return (current[-m:], following), cores

    index = jnp.arange(n_layers)
    first = decode_layer(jnp.zeros_like(index[0]))
    _, cores = lax.scan(blend_layer, (jnp.zeros_like(first[:m]), first), index)
    volume = cores.transpose(0, 1, 4, 2, 5, 3).reshape(n_layers * b, *(n * b for n in layer_grid))
    depth, height, width = encoded.shape
    return volume[:depth, :height, :width]
