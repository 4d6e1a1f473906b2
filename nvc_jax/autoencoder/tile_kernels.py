"""Kernels of TPUs, by the Mosaic backend of Pallas: a volume is read or written once, in the order it has.

Their specification is ``tile_layout``, in which XLA brings the volume from one order to another in memory.
Here a program of ``tile_programs`` does so in registers, between memory and the matrix products.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import BlockAutoencoder, DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import (
    GROUP,
    limits_of_voxels,
    normalize_voxels,
    to_bytes,
    to_words,
)
from nvc_jax.autoencoder.tile_integers import multiply as multiply_integers
from nvc_jax.autoencoder.tile_layers import (
    activate,
    apply_layers,
    decode_hidden,
    suits_kernels,
    swap_in_kernel,
)
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, from_lanes, multiply, split
from nvc_jax.autoencoder.tile_parameters import Move, prepare_decoder, prepare_encoder
from nvc_jax.autoencoder.tile_programs import (
    LANES_OF_TILES,
    PROGRAM_SHAPE,
    TILES,
    run,
    zero_missing,
    zero_outside,
)
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape


def can_run(model: BlockAutoencoder, shape: Shape3) -> bool:
    """Tell whether the kernels code volumes of a shape by a model."""
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
    layers = prepare_encoder(model, tuple(_moves_of_voxels()), interpret=interpret)
    grid = grid_shape(shape, BLOCK)
    limits = jnp.stack([minimum, maximum])
    return run(
        functools.partial(_encode_program, shape),
        grid,
        jax.ShapeDtypeStruct((*grid, model.config.latent_dim), jnp.float32),
        (limits, volume.astype(jnp.float32), *layers),
        interpret=interpret,
    )


def decode(model: DenseAutoencoder, encoded: EncodedLatents, *, interpret: bool = False) -> jax.Array:
    """Decode a volume, margins cropped; see ``tile_layout.decode`` and ``encode``."""
    moves = tuple(_moves_of_rows(model.config.margin, model.config.side))
    layers = prepare_decoder(model, moves, n_parts=2, factor=0.5, interpret=interpret)
    is_float32 = encoded.dtype == "float32"
    limits = jnp.stack([encoded.minimum, encoded.maximum]) if is_float32 else jnp.array([0, 1], jnp.float32)
    grid = check_shape(encoded.latents.shape[:3])
    volume = run(
        functools.partial(_decode_program, grid),
        grid,
        jax.ShapeDtypeStruct(encoded.shape, jnp.float32),
        (limits, encoded.latents, *layers),
        interpret=interpret,
    )
    return volume if is_float32 else denormalize(volume, encoded.minimum, encoded.maximum, encoded.dtype)


def _moves_of_voxels() -> Iterator[Move]:
    """Get the moves of voxels from where they are in blocks to where they are in the bytes of words."""
    for z, y in itertools.product(range(BLOCK), repeat=2):
        group, plane = divmod(z, GROUP)
        yield (z * BLOCK + y) * BLOCK, 1, (group * BLOCK + y) * GROUP + plane, BLOCK * BLOCK, BLOCK


def _moves_of_rows(margin: int, side: int) -> Iterator[Move]:
    """Get the moves of the last layer's rows from the order of blocks to that of registers: z, x, y."""
    for z, y in itertools.product(range(BLOCK), repeat=2):
        yield ((z + margin) * side + y + margin) * side + margin, 1, z * BLOCK**2 + y, BLOCK, BLOCK


def _encode_program(shape: Shape3, limits: Any, volume: Any, *references: Any) -> None:
    """Encode the blocks of a program.

    Args:
        shape: of the volume.
        limits: float32 (2,), minimum and maximum.
        volume: float32 (16, 64, 256).
        *references: what ``prepare_encoder`` returns; float32 (2, 8, 32, latents), the result.
    """
    (kernel, factor, bias), layers, latents = references[:3], references[3:-1], references[-1]
    of_voxels = limits_of_voxels(limits[0], limits[1])
    voxels = jnp.concatenate([_read_tile(shape, of_voxels, volume, tile) for tile in TILES], axis=1)
    sums = multiply_integers(kernel[...], voxels).astype(jnp.float32) * factor[...]
    values = apply_layers(layers, split(activate(sums + bias[...])), is_last_linear=True)
    for (layer, column), lanes in zip(TILES, LANES_OF_TILES, strict=True):
        blocks = from_lanes(values[:, lanes]).reshape(TILE_Y, TILE_X, -1)
        latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :] = blocks


def _read_tile(shape: Shape3, limits: Any, volume: Any, tile: tuple[int, int]) -> jax.Array:
    """Read the voxels of a tile: int8 (512, 128), ordered by x, group of planes, y and plane."""
    rows, (z, x) = [], (tile[0] * BLOCK, tile[1] * LANES)
    for y in range(0, PROGRAM_SHAPE[1], BLOCK):
        values = volume[z : z + BLOCK, y : y + BLOCK, x : x + LANES]
        voxels = zero_outside(normalize_voxels(values, *limits), shape, (z, y, x))
        rows.append(to_words(voxels))
    return to_bytes(jnp.stack(swap_in_kernel(rows)))


def _decode_program(grid: Shape3, limits: Any, latents: Any, *references: Any) -> None:
    """Decode the blocks of a program.

    Args:
        grid: blocks of the volume.
        limits: float32 (2,), minimum and maximum.
        latents: float32 (2, 8, 32, latents).
        *references: what ``prepare_decoder`` returns; float32 (16, 64, 256), the result.
    """
    *layers, kernel, kernel_rest, bias, volume = references
    in_lanes = []
    for layer, column in TILES:
        rows = [latents[layer, :, column * TILE_X + x, :] for x in range(TILE_X)]
        in_lanes.append(zero_missing(jnp.concatenate(rows), grid, layer, column * TILE_X))
    hidden = split(decode_hidden(layers, jnp.concatenate(in_lanes)))
    middle, half = limits[0] * 0.5 + limits[1] * 0.5, limits[1] * 0.5 - limits[0] * 0.5
    for plane in range(BLOCK):
        part = slice(plane * BLOCK**2, (plane + 1) * BLOCK**2)
        products = multiply((kernel[part, :], kernel_rest[part, :]), hidden)
        for (layer, column), lanes in zip(TILES, LANES_OF_TILES, strict=True):
            values = middle + half * jnp.tanh(products[:, lanes] + bias[part, :])
            values = jnp.clip(values, limits[0], limits[1])
            rows = swap_in_kernel([values[x * BLOCK : (x + 1) * BLOCK] for x in range(BLOCK)])
            z, x = layer * BLOCK + plane, column * LANES
            for y, row in enumerate(rows):
                volume[z, y * BLOCK : (y + 1) * BLOCK, x : x + LANES] = row
