"""Blending of margins within kernels of TPUs: along x in the lanes of blocks, then along y and z.

What moves from the lanes of blocks to the order of the volume has fifteen bits, two planes to a word.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blending import neighbour_weights
from nvc_jax.autoencoder.tile_layers import swap_in_kernel
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y
from nvc_jax.autoencoder.tile_windows import (
    LAYERS,
    MARGIN,
    SIDE,
    is_outer_row,
    of_neighbour,
    roll_lanes,
    rows_and_lanes,
    turn,
)
from nvc_jax.core.shapes import Shape3

PLANES = 4
"""Planes of blocks that are decoded at a time: their cores take two words, and their rims one."""
ROWS = PLANES * SIDE**2
MIDDLE = 769.0
"""Numbers in [-1, 1] are kept with this sum, of which float32 has 14 bits behind the point."""
LOWEST, BITS_OF_LOWEST = 768.0, 0x44400000
"""The sum for -1, whose lowest sixteen bits are 0."""
_EXISTS = np.ones(1, np.float32)
WEIGHTS = np.add(*neighbour_weights(BLOCK, MARGIN, _EXISTS, _EXISTS, axis=0)).tolist()
"""Weights of a neighbour in the voxels of a core along an axis."""


class BlendGeometry(NamedTuple):
    """Sizes that a kernel knows.

    Attributes:
        grid: blocks along each axis.
        columns: tiles along x.
    """

    grid: Shape3
    columns: int

    @property
    def programs(self) -> tuple[int, int]:
        """Programs along y and z."""
        return -(-self.grid[1] // TILE_Y), -(-self.grid[0] // LAYERS)

    def place(self, step: Any) -> tuple[Any, Any]:
        """Get the place of a step's program along y and z; that of the nearest one if there is none."""
        n_y, n_z = self.programs
        program = jnp.clip(step, 0, n_y * n_z - 1)
        return lax.div(program, jnp.int32(n_z)), lax.rem(program, jnp.int32(n_z))

    @property
    def side_columns(self) -> int:
        """Places for the columns of a row of blocks beside the program: a power of two."""
        return 1 << (self.columns - 1).bit_length()

    @property
    def tiles(self) -> int:
        """Tiles of a program, and of the rows beside it."""
        return LAYERS * self.columns + self.side_tiles

    @property
    def side_tiles(self) -> int:
        """Tiles of the rows of blocks beside the program, before and after it along y."""
        return -(-2 * LAYERS * self.side_columns // TILE_Y)

    def side_row(self, layer: int, is_after: bool, column: int) -> tuple[int, int]:
        """Get the place of a row of blocks beside the program: the tile, and the row of blocks in it."""
        return divmod((2 * layer + is_after) * self.side_columns + column, TILE_Y)


def swap_tiles(
    geometry: BlendGeometry, columns: list[jax.Array], column: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Blend a column of tiles along x, and bring it to the order of the volume.

    Args:
        geometry: of the volume.
        columns: registers of each column of tiles, float32 (layers, 72, 8, 128).
        column: that is wanted.

    Returns:
        Words of cores and rims, each by row of blocks, int32 (layers, 2, 8, 128).
    """
    n_core, sides = PLANES * SIDE, (LAYERS, PLANES, -1, BLOCK, LANES)
    cores = [registers[:, :n_core].reshape(sides) for registers in columns]
    rims = [registers[:, n_core:].reshape(sides) for registers in columns]
    _, lane = rows_and_lanes()
    place = column * TILE_X + (lane >> 3)
    exists = (place > 0, place + 1 < geometry.grid[2])

    def neighbour(parts: list[jax.Array], index: int, by: int) -> jax.Array:
        zero = jnp.zeros((BLOCK, LANES), jnp.float32)
        return of_neighbour([part[:, :, index] for part in parts], column, by, zero)

    own = [cores[column][:, :, x] for x in range(MARGIN, SIDE - MARGIN)]
    for x in range(MARGIN):
        for place_x, by in ((x, -1), (BLOCK - MARGIN + x, 1)):
            other = neighbour(cores, SIDE - MARGIN + x if by < 0 else x, by)
            weight = jnp.where(exists[by > 0], WEIGHTS[place_x], 0.0)[None, None]
            own[place_x] = own[place_x] + weight * (other - own[place_x])
    pairs = _blend_rims(rims[column], neighbour(rims, -1, -1), neighbour(rims, 0, 1), exists)
    registers = [
        jnp.concatenate([_to_words(core).reshape(-1, BLOCK, LANES), rim])
        for core, rim in zip(own, _unpair(pairs), strict=True)
    ]
    swapped = swap_in_kernel(registers)
    words = [part[: 2 * LAYERS].reshape(LAYERS, 2, BLOCK, LANES) for part in swapped]
    rim_words = [part[2 * LAYERS :] for part in swapped]
    return words, [jnp.stack([part, turn(part)], axis=1) for part in rim_words]


def swap_sides(geometry: BlendGeometry, tile: int, registers: jax.Array) -> list[jax.Array]:
    """Blend rims of the blocks beside a program, as ``swap_tiles``: by row of blocks, int32 (2, 8, 128).

    Blocks of all columns are in the lanes of one tile, those of neighbouring columns in neighbouring lanes.
    """
    _, lane = rows_and_lanes()
    row = tile * TILE_Y + (lane & TILE_Y - 1)
    place = (row & geometry.side_columns - 1) * TILE_X + (lane >> 3)
    exists = (place > 0, place + 1 < geometry.grid[2])
    rims = registers.reshape(1, PLANES, -1, BLOCK, LANES)
    first, last = rims[:, :, 0], rims[:, :, -1]
    before = jnp.where(lane < BLOCK, roll_lanes(last, BLOCK + 1), roll_lanes(last, BLOCK))
    is_last = lane >= LANES - BLOCK
    after = jnp.where(is_last, roll_lanes(first, -BLOCK - 1), roll_lanes(first, -BLOCK))
    swapped = swap_in_kernel(_unpair(_blend_rims(rims, before, after, exists)))
    return [jnp.concatenate([part, turn(part)]) for part in swapped]


def _blend_rims(
    rims: jax.Array, before: jax.Array, after: jax.Array, exists: tuple[jax.Array, jax.Array]
) -> list[jax.Array]:
    """Blend rims along x with their neighbours: words by pair of x, int32 (layers, 2, 8, 128)."""
    pairs = [rims[:, :, pair] for pair in range(1, SIDE // 2 - 1)]
    is_outer = is_outer_row()
    for pair, other, has_other in ((0, before, exists[0]), (-1, after, exists[1])):
        x = 0 if pair == 0 else BLOCK - MARGIN
        of_rows = jnp.where(is_outer, WEIGHTS[x], WEIGHTS[x + 1])
        weight = jnp.where(has_other, of_rows, 0.0)[None, None]
        pairs[pair] = pairs[pair] + weight * (other - pairs[pair])
    return [_to_words(pair) for pair in pairs]


def _unpair(pairs: list[jax.Array]) -> list[jax.Array]:
    """Get a register of rims of each x, in whose rows both words are: int32 (layers, 8, 128)."""
    is_outer, registers = is_outer_row(), []
    for words in pairs:
        one, other = words[:, 0], words[:, 1]
        registers += [jnp.where(is_outer, one, turn(other)), jnp.where(is_outer, turn(one), other)]
    return registers


def blend_along_y(
    geometry: BlendGeometry, y: jax.Array, cores: list[jax.Array], rims: list[jax.Array]
) -> jax.Array:
    """Blend cores with the rims of their neighbours along y: float32 (8, layers, planes, 8, 128).

    Args:
        geometry: of the volume.
        y: of the program.
        cores: words by row of blocks, int32 (layers, 2, 8, 128).
        rims: likewise, from the row before to that after.
    """
    row, _ = rows_and_lanes()
    is_low = row < BLOCK // 2
    base = jnp.zeros((BLOCK, LANES), jnp.float32)
    for place, weight in enumerate(WEIGHTS):
        base = jnp.where(row == place, float(weight), base) if weight else base
    others: list[jax.Array] = []
    weights: list[jax.Array] = []
    for block in range(TILE_Y):
        number = y * TILE_Y + block
        others.append(jnp.where(is_low, rims[block], rims[block + 2]))
        before = jnp.where(number > 0, base, 0.0)
        after = jnp.where(number + 1 < geometry.grid[1], base, 0.0)
        weights.append(jnp.where(is_low, before, after))
    own, other, weight = jnp.stack(cores), jnp.stack(others), jnp.stack(weights)[:, None, None]
    planes = []
    for half in range(2):
        value = _of_words(own, half)
        planes.append(value + weight * (_of_words(other, half) - value))
    shape = (TILE_Y, LAYERS, PLANES, BLOCK, LANES)
    return jnp.stack(planes, axis=3).reshape(shape)


def blend_along_z(
    geometry: BlendGeometry,
    z: jax.Array,
    references: tuple[Any, Any, Any],
    planes: jax.Array,
    part: int,
    column: int,
) -> None:
    """Blend planes of all layers with those of their neighbours along z, into the buffer or what is kept."""
    limits, buffers, kept = references
    lanes = slice(column * LANES, (column + 1) * LANES)
    for layer, plane in itertools.product(range(LAYERS), range(PLANES)):
        place = part * PLANES + plane
        value = planes[:, layer, plane].reshape(TILE_Y * BLOCK, LANES)
        before = 1 + layer if layer else z % 2
        after = 2 + layer if layer < LAYERS - 1 else (z + 1) % 2
        if place >= BLOCK:
            kept[after, place - BLOCK, :, lanes] = value
            continue
        number = z * LAYERS + layer
        if place < 2 * MARGIN:
            other = kept[before, place, :, lanes]
            is_head = place < MARGIN
            # Nothing is kept for the first layer. Its head is not written.
            own = other if is_head else value
            other = value if is_head else jnp.where(number > 0, other, value)
            has_other = (number > 0) & (number < geometry.grid[0]) if is_head else number > 0
            weight = WEIGHTS[BLOCK - MARGIN + place if is_head else place - MARGIN]
            value = own + jnp.where(has_other, weight, 0.0) * (other - own)
        buffers[z % 2, layer * BLOCK + place, :, lanes] = restore(limits, value)


def restore(limits: Any, values: jax.Array) -> jax.Array:
    """Map numbers in [-1, 1], with ``MIDDLE`` added, to the range of the volume."""
    return jnp.minimum(limits[0] + (values - LOWEST) * limits[2], limits[1])


def _to_words(planes: jax.Array) -> jax.Array:
    """Round numbers in [-1, 1] to fifteen bits, two planes to a word: int32 (layers, planes / 2, 8, 128)."""
    from jax.experimental.pallas import tpu

    bits = tpu.bitcast((planes + MIDDLE).reshape(-1, LANES), jnp.int32)
    pairs = bits.reshape(len(planes), PLANES // 2, 2, BLOCK, LANES)
    return (pairs[:, :, 0] & 0xFFFF) | (pairs[:, :, 1] << 16)


def _of_words(words: jax.Array, half: int) -> jax.Array:
    """Get one of both numbers of words, with ``MIDDLE`` added: float32."""
    from jax.experimental.pallas import tpu

    numbers = lax.shift_right_logical(words, jnp.full_like(words, 16)) if half else words & 0xFFFF
    bits = (numbers | BITS_OF_LOWEST).reshape(-1, LANES)
    return tpu.bitcast(bits, jnp.float32).reshape(words.shape)
