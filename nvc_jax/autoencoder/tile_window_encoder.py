"""Kernel of TPUs that encodes blocks with margins, which overlap, from where they lie in the volume.

Its specification is ``tile_layout.encode``. A program reads its blocks and the voxels around them.
"""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import PART, multiply, to_integers
from nvc_jax.autoencoder.tile_layers import activate, apply_layers, bias_of, make_layers
from nvc_jax.autoencoder.tile_operations import LANES, TILE_X, TILE_Y, from_lanes, split
from nvc_jax.autoencoder.tile_window_reader import (
    GROUP,
    LARGEST_VOXEL,
    PLANES,
    WindowGeometry,
    add_margins,
    limits_of_voxels,
    read_column,
    window_of_volume,
)
from nvc_jax.autoencoder.tile_windows import LAYERS, SIDE, VMEM_BYTES, arrange
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
    first = _first_layer(model.encoder[0].kernel[...], bias_of(model.encoder[0]))
    layers = (*first, *make_layers((*list(model.encoder)[1:], model.mean)))
    limits = limits_of_voxels(minimum, maximum)
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
            *[tpu.VMEM((SIDE**3, n_lanes), jnp.int8)] * 2,
            tpu.VMEM((len(first[1]), n_lanes), jnp.float32),
        ],
        compiler_params=tpu.CompilerParams(dimension_semantics=("arbitrary",), vmem_limit_bytes=VMEM_BYTES),
        interpret=interpret,
    )(limits, volume.astype(jnp.float32), *layers)


def _first_layer(kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
    """Prepare the first layer.

    Returns:
        First parts of its kernel and, below, second parts, int8 (2 · units, 1728); the factor of products of
        second parts, float32 (units, 1); the bias, likewise.
    """
    planes = np.arange(SIDE**3).reshape(1, SIDE // GROUP, GROUP, SIDE, SIDE)[:, :, list(PLANES)]
    places = [part.transpose(0, 3, 1, 4, 2).ravel() for part in arrange(planes)]
    rows = jnp.take(kernel, np.concatenate(places), axis=0, mode="clip", unique_indices=True)
    integers = to_integers(rows.T, axis=1)
    factor = integers.scale * (PART / LARGEST_VOXEL)
    # A voxel is 128 · (first + 128) + second.
    bias = bias + kernel.sum(axis=0) * (PART * PART / LARGEST_VOXEL)
    return jnp.concatenate([integers.first, integers.second]), factor, bias.reshape(-1, 1)


def _encode_program(geometry: WindowGeometry, limits: Any, volume: Any, *references: Any) -> None:
    """Read the blocks of a program, multiply those of the last one, and encode those of the last but one.

    The three share nothing, so that each unit of a core has work at any time.

    Args:
        geometry: of the volume.
        limits: float32 (2,), see ``limits_of_voxels``.
        volume: float32 (20, 80, width), see ``window_of_volume``.
        *references: what ``_first_layer`` returns; parts of the other layers; float32 (2, 8, blocks along x,
            latents), the result; both parts of blocks, int8 (1728, 128 · tiles); products of the first layer,
            float32 (units, 128 · tiles).
    """
    kernel, factor, bias, *layers, latents, first, second, products = references
    units, previous = factor.shape[0], products[...]

    def multiply_column(column: int) -> None:
        for layer in range(LAYERS):
            tile = layer * geometry.columns + column
            lanes = slice(tile * LANES, (tile + 1) * LANES)
            of_first = multiply(kernel[...], first[:, lanes])
            of_second = of_first[units:] + multiply(kernel[:units, :], second[:, lanes])
            sums = of_first[:units].astype(jnp.float32) * PART + of_second.astype(jnp.float32)
            products[:, lanes] = sums * factor[...]

    columns = []
    for column in range(geometry.columns):
        multiply_column(column)
        columns.append(read_column(geometry, limits, volume, column))
    first[...], second[...] = add_margins(columns)

    values = apply_layers(layers, split(activate(previous + bias[...])), is_last_linear=True)
    for index, (layer, column) in enumerate(itertools.product(range(LAYERS), range(geometry.columns))):
        blocks = from_lanes(values[:, index * LANES : (index + 1) * LANES]).reshape(TILE_Y, TILE_X, -1)
        latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :] = blocks
