"""Kernels of TPUs, by the Mosaic backend of Pallas: a volume is read or written once, in the order it has.

Their specification is ``tile_layout``, in which XLA brings the volume from one order to another in memory.
Here a program of ``tile_programs`` does so in registers, between memory and the matrix products.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import BlockAutoencoder, DenseAutoencoder
from nvc_jax.autoencoder.tile_layers import (
    activate,
    apply_layers,
    bias_of,
    make_layer,
    make_layers,
    suits_kernels,
    swap_in_kernel,
)
from nvc_jax.autoencoder.tile_operations import (
    BLOCK,
    LANES,
    TILE_X,
    TILE_Y,
    from_lanes,
    multiply,
    split,
    to_lanes,
)
from nvc_jax.autoencoder.tile_programs import (
    LANES_OF_TILES,
    PROGRAM_SHAPE,
    TILES,
    run,
    zero_missing,
    zero_outside,
)
from nvc_jax.core.normalization import denormalize, normalization_scale, normalize_by
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

PLANES = 2
"""Planes of voxels that are multiplied at once: they have as many voxels as a matrix unit has rows."""


def can_run(model: BlockAutoencoder, shape: Shape3) -> bool:
    """Tell whether the kernels code volumes of a shape by a model, in three passes of bfloat16."""
    return suits_kernels(model, shape, PROGRAM_SHAPE)


def encode(
    model: DenseAutoencoder,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Encode a volume by a model without margins; see ``tile_layout.encode``.

    ``interpret`` runs the kernel by ``jax.numpy``, on any device, for tests.
    """
    assert not model.config.margin
    shape = check_shape(volume.shape)
    first = model.encoder[0].kernel[...].reshape(BLOCK, BLOCK, BLOCK, -1).transpose(0, 2, 1, 3)
    layers = (
        *make_layer(first.reshape(BLOCK**3, -1), bias_of(model.encoder[0])),
        *make_layers((*list(model.encoder)[1:], model.mean)),
    )
    grid = grid_shape(shape, BLOCK)
    limits = jnp.stack([minimum, normalization_scale(minimum, maximum)])
    return run(
        functools.partial(_encode_program, shape),
        grid,
        jax.ShapeDtypeStruct((*grid, model.config.latent_dim), jnp.float32),
        (limits, volume.astype(jnp.float32), *layers),
        interpret=interpret,
    )


def decode(model: DenseAutoencoder, encoded: EncodedLatents, *, interpret: bool = False) -> jax.Array:
    """Decode a volume, margins cropped; see ``tile_layout.decode`` and ``encode``."""
    m, side = model.config.margin, model.config.side
    core = slice(m, m + BLOCK)
    kernel = model.output.kernel[...].reshape(-1, side, side, side)[:, core, core, core]
    bias = bias_of(model.output).reshape(side, side, side)[core, core, core]
    kernel = kernel.transpose(0, 1, 3, 2).reshape(-1, BLOCK**3)
    bias = jnp.broadcast_to(bias.transpose(0, 2, 1).reshape(-1, 1), (BLOCK**3, LANES))
    is_float32 = encoded.dtype == "float32"
    limits = jnp.stack([encoded.minimum, encoded.maximum]) if is_float32 else jnp.array([0, 1], jnp.float32)
    grid = check_shape(encoded.latents.shape[:3])
    volume = run(
        functools.partial(_decode_program, grid),
        grid,
        jax.ShapeDtypeStruct(encoded.shape, jnp.float32),
        (limits, encoded.latents, *make_layers(list(model.decoder)), *make_layer(kernel, bias)),
        interpret=interpret,
    )
    return volume if is_float32 else denormalize(volume, encoded.minimum, encoded.maximum, encoded.dtype)


def _encode_program(shape: Shape3, limits: Any, volume: Any, *references: Any) -> None:
    """Encode the blocks of a program.

    Args:
        shape: of the volume.
        limits: float32 (2,), minimum and scale.
        volume: float32 (16, 64, 256).
        *references: of the layers' parts; float32 (2, 8, 32, latents), the result.
    """
    (kernel, kernel_rest, bias), layers, latents = references[:3], references[3:-1], references[-1]
    sums = jnp.zeros((kernel.shape[0], len(TILES) * LANES), jnp.float32)
    for begin in range(0, BLOCK, PLANES):
        planes = range(begin, begin + PLANES)
        tiles = [
            jnp.concatenate([_read_plane(shape, limits, volume, z, tile) for z in planes], axis=0)
            for tile in TILES
        ]
        part = slice(begin * BLOCK**2, (begin + PLANES) * BLOCK**2)
        kernels = (kernel[:, part], kernel_rest[:, part])
        sums += multiply(kernels, split(jnp.concatenate(tiles, axis=1)))
    values = apply_layers(layers, split(activate(sums + bias[...])), is_last_linear=True)
    for (layer, column), lanes in zip(TILES, LANES_OF_TILES, strict=True):
        blocks = from_lanes(values[:, lanes]).reshape(TILE_Y, TILE_X, -1)
        latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :] = blocks


def _read_plane(shape: Shape3, limits: Any, volume: Any, plane: int, tile: tuple[int, int]) -> jax.Array:
    """Read a plane of a tile's voxels, in [0, 1]: float32 (64, 128), ordered by x and y, blocks in lanes."""
    rows, (z, x) = [], (tile[0] * BLOCK + plane, tile[1] * LANES)
    for y in range(0, PROGRAM_SHAPE[1], BLOCK):
        values = normalize_by(volume[z, y : y + BLOCK, x : x + LANES], limits[0], limits[1])
        rows.append(zero_outside(values, shape, (z, y, x)))
    return jnp.concatenate(swap_in_kernel(rows), axis=0)


def _decode_program(grid: Shape3, limits: Any, latents: Any, *references: Any) -> None:
    """Decode the blocks of a program.

    Args:
        grid: blocks of the volume.
        limits: float32 (2,), minimum and maximum.
        latents: float32 (2, 8, 32, latents).
        *references: of the hidden layers' parts; those of the last layer, bfloat16 (512, units) twice and
            float32 (512, 128); float32 (16, 64, 256), the result.
    """
    *layers, kernel, kernel_rest, bias, volume = references
    in_lanes = []
    for layer, column in TILES:
        blocks = latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :].reshape(LANES, -1)
        in_lanes.append(to_lanes(zero_missing(blocks, grid, layer, column * TILE_X)))
    inputs = split(jnp.concatenate(in_lanes, axis=0))
    hidden = split(apply_layers(layers, inputs, is_first_transposed=True))
    for plane in range(BLOCK):
        part = slice(plane * BLOCK**2, (plane + 1) * BLOCK**2)
        products = multiply((kernel[part, :], kernel_rest[part, :]), hidden)
        for (layer, column), lanes in zip(TILES, LANES_OF_TILES, strict=True):
            unit = nnx.sigmoid(products[:, lanes] + bias[part, :])
            values = denormalize(unit, limits[0], limits[1], jnp.float32)
            rows = swap_in_kernel([values[x * BLOCK : (x + 1) * BLOCK] for x in range(BLOCK)])
            z, x = layer * BLOCK + plane, column * LANES
            for y, row in enumerate(rows):
                volume[z, y * BLOCK : (y + 1) * BLOCK, x : x + LANES] = row
