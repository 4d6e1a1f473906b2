"""Programs of kernels of TPUs: how a volume and its latents are divided among them, and what lies outside.

A program has two layers of blocks along z, eight blocks along y and thirty-two along x: four of the tiles of
``tile_operations``.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y
from nvc_jax.core.shapes import Shape3

LAYERS, COLUMNS = 2, 2
"""Tiles of a program along z and x: they share nothing, so one computes while another waits."""
PROGRAM_SHAPE = (LAYERS * BLOCK, TILE_Y * BLOCK, COLUMNS * LANES)
"""Voxels of a program."""
PROGRAM_BLOCKS = (LAYERS, TILE_Y, COLUMNS * TILE_X)
"""Blocks of a program."""
TILES = tuple(itertools.product(range(LAYERS), range(COLUMNS)))
"""Places of a program's tiles."""
LANES_OF_TILES = tuple(slice(index * LANES, (index + 1) * LANES) for index in range(len(TILES)))
"""Columns of a program's matrices that have the blocks of each tile."""


def run(
    program: Callable[..., None],
    grid: Shape3,
    result: jax.ShapeDtypeStruct,
    arguments: Sequence[jax.Array],
    *,
    interpret: bool,
) -> jax.Array:
    """Run a kernel; the first argument is limits, the second is cut, and others are there whole."""
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    def window(array: Any) -> Any:
        if array.ndim == 4:
            return pallas.BlockSpec((*PROGRAM_BLOCKS, array.shape[-1]), lambda z, y, x: (z, y, x, 0))
        return pallas.BlockSpec(PROGRAM_SHAPE, lambda z, y, x: (z, y, x))

    whole = [pallas.BlockSpec(array.shape, lambda z, y, x: (0, 0)) for array in arguments[2:]]
    return pallas.pallas_call(
        program,
        grid=tuple(-(-n // of_program) for n, of_program in zip(grid, PROGRAM_BLOCKS, strict=True)),
        in_specs=[pallas.BlockSpec(memory_space=tpu.SMEM), window(arguments[1]), *whole],
        out_specs=window(result),
        out_shape=result,
        compiler_params=tpu.CompilerParams(dimension_semantics=("parallel",) * 3),
        interpret=interpret,
    )(*arguments)


def zero_outside(values: jax.Array, shape: Shape3, corner: Shape3) -> jax.Array:
    """Replace values (planes, 8, 128) of a program, from ``corner`` on, by 0 outside of the volume."""
    from jax.experimental import pallas

    for axis in range(3):
        if shape[axis] % PROGRAM_SHAPE[axis]:
            place = pallas.program_id(axis) * PROGRAM_SHAPE[axis] + corner[axis]
            position = place + lax.broadcasted_iota(jnp.int32, values.shape, axis)
            values = jnp.where(position < shape[axis], values, 0.0)
    return values


def zero_missing(blocks: jax.Array, grid: Shape3, layer: int, column: int) -> jax.Array:
    """Replace the latents (128, n) of blocks that the volume does not have by 0; blocks are as lanes are."""
    from jax.experimental import pallas

    row = lax.broadcasted_iota(jnp.int32, blocks.shape, 0)
    corner = [pallas.program_id(axis) * length for axis, length in enumerate(PROGRAM_BLOCKS)]
    places = (corner[0] + layer, corner[1] + (row & TILE_Y - 1), corner[2] + column + (row >> 3))
    for place, length, of_program in zip(places, grid, PROGRAM_BLOCKS, strict=True):
        if length % of_program:
            blocks = jnp.where(place < length, blocks, 0.0)
    return blocks
