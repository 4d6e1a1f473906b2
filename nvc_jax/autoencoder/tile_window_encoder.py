"""Kernel of TPUs that encodes blocks with margins, which overlap, from where they lie in the volume.

Its specification is ``tile_layout.encode``. A program reads its blocks and the voxels around them.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import GROUP, limits_of_voxels, multiply
from nvc_jax.autoencoder.tile_layers import activate, apply_layers
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, from_lanes, split
from nvc_jax.autoencoder.tile_parameters import Move, prepare_encoder
from nvc_jax.autoencoder.tile_window_reader import (
    WindowGeometry,
    add_margins,
    read_column,
    window_of_volume,
)
from nvc_jax.autoencoder.tile_windows import LAYERS, SIDE, VMEM_BYTES, moves_of_plane
from nvc_jax.core.shapes import check_shape, grid_shape


def encode(
    model: DenseAutoencoder,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Encode a volume; see ``tile_layout.encode``.

    ``interpret`` runs the kernel by ``jax.numpy``, on any device, for tests.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    shape = check_shape(volume.shape)
    grid, n_latents = grid_shape(shape, model.config.block_size), model.config.latent_dim
    geometry = WindowGeometry(shape, -(-shape[2] // LANES))
    layers = prepare_encoder(model, _MOVES, interpret=interpret)
    limits = jnp.stack([minimum, maximum])
    of_program = (LAYERS, TILE_Y, geometry.columns * TILE_X, n_latents)
    n_lanes = LAYERS * geometry.columns * LANES
    return pallas.pallas_call(
        functools.partial(_encode_program, geometry),
        grid=(math.prod(geometry.programs) + 2,),
        in_specs=[
            pallas.BlockSpec(memory_space=tpu.SMEM),
            window_of_volume(geometry),
            *[pallas.BlockSpec(memory_space=tpu.VMEM)] * len(layers),
        ],
        out_specs=pallas.BlockSpec(of_program, lambda step: (*geometry.place(step - 2), 0, 0)),
        out_shape=jax.ShapeDtypeStruct((*grid, n_latents), jnp.float32),
        scratch_shapes=[
            tpu.VMEM((SIDE**3, n_lanes), jnp.int8),
            tpu.VMEM((len(layers[1]), n_lanes), jnp.float32),
        ],
        compiler_params=tpu.CompilerParams(dimension_semantics=("arbitrary",), vmem_limit_bytes=VMEM_BYTES),
        interpret=interpret,
    )(limits, volume.astype(jnp.float32), *layers)


def _moves() -> Iterator[Move]:
    """Get the moves of voxels from where they are in blocks to where they are in the bytes of words."""
    of_x = SIDE // GROUP * BLOCK * GROUP
    for z in range(SIDE):
        group, plane = divmod(z, GROUP)
        yield from moves_of_plane(z * SIDE**2, group * BLOCK * GROUP + plane, SIDE * of_x, of_x, GROUP)


_MOVES = tuple(_moves())


def _encode_program(geometry: WindowGeometry, limits: Any, volume: Any, *references: Any) -> None:
    """Read the blocks of a program, multiply those of the last one, and encode those of the last but one.

    The three share nothing, so that each unit of a core has work at any time.

    Args:
        geometry: of the volume.
        limits: float32 (2,), minimum and maximum.
        volume: float32 (20, 80, width), see ``window_of_volume``.
        *references: what ``prepare_encoder`` returns; float32 (2, 8, blocks along x, latents), the result;
            voxels of blocks, int8 (1728, 128 · tiles); products of the first layer, float32 (units,
            128 · tiles).
    """
    kernel, factor, bias, *layers, latents, voxels, products = references
    limits = limits_of_voxels(limits[0], limits[1])

    def multiply_column(column: int) -> None:
        for layer in range(LAYERS):
            tile = layer * geometry.columns + column
            lanes = slice(tile * LANES, (tile + 1) * LANES)
            products[:, lanes] = multiply(kernel[...], voxels[:, lanes]).astype(jnp.float32) * factor[...]

    values = apply_layers(layers, split(activate(products[...] + bias[...])), is_last_linear=True)
    for index, (layer, column) in enumerate(itertools.product(range(LAYERS), range(geometry.columns))):
        blocks = from_lanes(values[:, index * LANES : (index + 1) * LANES]).reshape(TILE_Y, TILE_X, -1)
        latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :] = blocks

    columns = []
    for column in range(geometry.columns):
        multiply_column(column)
        columns.append(read_column(geometry, limits, volume, column))
    voxels[...] = add_margins(columns)
