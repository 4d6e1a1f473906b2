"""Blocks with margins in kernels of TPUs: which of their voxels are in which register.

A block is 12 voxels wide: its core and two more on each side. The lanes of a register are the blocks of a
tile (``tile_operations``). A register of the *core* has the eight voxels along y of the core. The four others
are the *rim*. A register has the rim of an even x in its outer rows, 0, 1, 6 and 7, and that of the next x in
the inner ones. Rows 0 and 1 overlap the first rows of the next block along y, and rows 6 and 7 the
last of the previous one. The rim of an odd x is turned by four rows.
"""

import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.networks import BlockAutoencoder
from nvc_jax.autoencoder.tile_layers import suits_kernels
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_Y
from nvc_jax.autoencoder.tile_parameters import Move
from nvc_jax.core.shapes import Shape3

MARGIN = 2
"""Width of a margin in voxels, that of the paper's models."""
SIDE = BLOCK + 2 * MARGIN
"""Side of a block with its margins."""
LAYERS = 2
"""Layers of blocks of a program."""
LEAST_SHAPE = (LAYERS * BLOCK, TILE_Y * BLOCK, LANES)
"""Least voxels of a volume along each axis."""
LARGEST_WIDTH = 512
"""Largest width of a volume: a program has all blocks along x."""
VMEM_BYTES = 64 << 20
"""Part of a core's own memory that a program may take: most of it is for the volume and registers."""


def can_run(model: BlockAutoencoder, shape: Shape3) -> bool:
    """Tell whether the kernels for margins code volumes of a shape by a model."""
    is_margin_of_kernels = suits_kernels(model, shape, LEAST_SHAPE) and model.config.margin == MARGIN
    return is_margin_of_kernels and shape[2] <= LARGEST_WIDTH


def moves_of_plane(source: int, target: int, to_rim: int, of_x: int, of_y: int) -> Iterator[Move]:
    """Get the moves of a plane's voxels, ordered by y and x, to the order of registers.

    Args:
        source: place of the first voxel.
        target: of the first register.
        to_rim: from there to the first register of the rim.
        of_x: from one register to the next along x.
        of_y: from one row of a register to the next.
    """
    for y in range(BLOCK):
        yield source + (y + MARGIN) * SIDE, 1, target + y * of_y, of_x, SIDE
    for is_odd, (head, tail) in enumerate([(BLOCK - MARGIN, 0), (MARGIN, BLOCK // 2)]):
        for y, row in itertools.product(range(MARGIN), (head, tail)):
            of_block = y + (MARGIN + BLOCK if row == tail else 0)
            yield source + of_block * SIDE + is_odd, 2, target + to_rim + (row + y) * of_y, of_x, SIDE // 2


def rows_and_lanes() -> tuple[jax.Array, jax.Array]:
    """Get the row and the lane of each number of a register: int32 (8, 128)."""
    row, lane = (lax.broadcasted_iota(jnp.int32, (BLOCK, LANES), axis) for axis in (0, 1))
    return row, lane


def is_outer_row() -> jax.Array:
    """Tell the outer rows of a register: bool (8, 128)."""
    row, _ = rows_and_lanes()
    return (row < MARGIN) | (row >= BLOCK - MARGIN)


def turn(registers: jax.Array) -> jax.Array:
    """Turn registers (…, 8, 128) by four rows: inner ones become outer ones."""
    from jax.experimental.pallas import tpu

    shape = registers.shape
    return tpu.roll(registers.reshape(-1, BLOCK, LANES), BLOCK // 2, 1).reshape(shape)


def roll_lanes(registers: jax.Array, by: int) -> jax.Array:
    """Rotate registers (…, 8, 128) by a number of lanes, which may be negative."""
    from jax.experimental.pallas import tpu

    return tpu.roll(registers.reshape(-1, LANES), by % LANES, 1).reshape(registers.shape)


def of_neighbour(columns: Sequence[jax.Array], column: int, by: int, missing: jax.Array) -> jax.Array:
    """Get what the neighbours along x have for the blocks in lanes.

    Args:
        columns: registers (…, 8, 128) of each tile along x.
        column: of the tile.
        by: -1 for the previous block along x, 1 for the next.
        missing: what blocks without a neighbour get, (8, 128).
    """
    _, lane = rows_and_lanes()
    own = roll_lanes(columns[column], -by * BLOCK)
    has_other = 0 <= column + by < len(columns)
    other = roll_lanes(columns[column + by], -by * BLOCK) if has_other else missing
    return jnp.where(lane < BLOCK if by < 0 else lane >= LANES - BLOCK, other, own)
