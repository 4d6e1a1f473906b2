"""Blocks with margins, read from where they lie in the volume, within kernels of TPUs.

Voxels become integers of eight bits, and a word holds those of four planes (``tile_integers``). So what
brings voxels to the lanes of their blocks moves four of them at a time.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.tile_integers import GROUP, SIGN_BITS, normalize_voxels, to_bytes, to_words
from nvc_jax.autoencoder.tile_layers import swap_in_kernel
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_Y
from nvc_jax.autoencoder.tile_windows import (
    LAYERS,
    MARGIN,
    SIDE,
    is_outer_row,
    of_neighbour,
    rows_and_lanes,
    turn,
)
from nvc_jax.core.shapes import Shape3

GROUPS = (LAYERS * BLOCK + 2 * MARGIN) // GROUP


class WindowGeometry(NamedTuple):
    """Sizes that a kernel knows.

    Attributes:
        shape: of the volume.
        columns: tiles along x.
    """

    shape: Shape3
    columns: int

    @property
    def programs(self) -> tuple[int, int]:
        """Programs along z and y."""
        return -(-self.shape[0] // (LAYERS * BLOCK)), -(-self.shape[1] // (TILE_Y * BLOCK))

    def place(self, step: Any) -> tuple[Any, Any]:
        """Get the place of a step's program along z and y; that of the nearest one if there is none."""
        n_z, n_y = self.programs
        program = jnp.clip(step, 0, n_z * n_y - 1)
        return lax.div(program, jnp.int32(n_y)), lax.rem(program, jnp.int32(n_y))


def window_of_volume(geometry: WindowGeometry) -> Any:
    """Describe the part of the volume that a program reads: its blocks, and voxels around them along z and y.

    The first programs along an axis have nothing before them, so their part begins with their blocks.
    """
    from jax.experimental import pallas

    n_z, n_y = geometry.programs
    depth, height, width = LAYERS * BLOCK, TILE_Y * BLOCK, geometry.columns * LANES
    shape = (depth + 2 * MARGIN, height + 2 * BLOCK, width)
    last = (max(0, (n_z - 1) * depth - MARGIN), max(0, (n_y - 1) * height - BLOCK), 0)
    padding = [
        max(0, begin + length - whole)
        for begin, length, whole in zip(last, shape, geometry.shape, strict=True)
    ]

    def index(step: Any) -> tuple[Any, Any, int]:
        z, y = geometry.place(step)
        return jnp.maximum(z * depth - MARGIN, 0), jnp.maximum(y * TILE_Y - 1, 0) * BLOCK, 0

    return pallas.BlockSpec(
        tuple(pallas.Element(length, (0, more)) for length, more in zip(shape, padding, strict=True)), index
    )


def read_column(geometry: WindowGeometry, limits: Any, volume: Any, column: int) -> list[jax.Array]:
    """Read a column of tiles without the margins along x, blocks in lanes.

    Returns:
        Words by x, int32 (groups of planes + pairs of groups, 8, 128): cores, and rims, whose outer rows are
        of the first group of a pair, and the inner ones of the second.
    """
    row, _ = rows_and_lanes()
    is_outer = is_outer_row()
    words = [_read_words(geometry, limits, volume, y, column) for y in range(TILE_Y + 2)]
    registers = []
    for y in range(1, TILE_Y + 1):
        rims = jnp.where(row < BLOCK // 2, words[y + 1], words[y - 1])
        pairs = [
            jnp.where(is_outer, rims[group], turn(rims[min(group + 1, GROUPS - 1)]))[None]
            for group in range(0, GROUPS, 2)
        ]
        registers.append(jnp.concatenate([words[y], *pairs]))
    return swap_in_kernel(registers)


def add_margins(columns: list[list[jax.Array]]) -> jax.Array:
    """Add the margins along x to what ``read_column`` returns: int8 (1728, 128 · tiles)."""
    is_outer = is_outer_row()
    missing = jnp.full((1, BLOCK, LANES), SIGN_BITS)
    tiles: list[list[jax.Array]] = [[] for _ in range(LAYERS)]
    for column, registers in enumerate(columns):
        of_x = [[of_column[x] for of_column in columns] for x in range(BLOCK)]
        before = [of_neighbour(of_x[x], column, -1, missing) for x in range(BLOCK - MARGIN, BLOCK)]
        after = [of_neighbour(of_x[x], column, 1, missing) for x in range(MARGIN)]
        by_x = [*before, *registers, *after]
        rims = []
        for even, odd in zip(by_x[::2], by_x[1::2], strict=True):
            one, other = even[GROUPS:], odd[GROUPS:]
            firsts = jnp.where(is_outer, one, turn(other))
            seconds = jnp.where(is_outer, turn(one), other)
            by_group = jnp.stack([firsts, seconds], axis=1).reshape(-1, BLOCK, LANES)
            rims.append(by_group[:GROUPS])
        for layer in range(LAYERS):
            tiles[layer].append(_to_bytes([*(words[:GROUPS] for words in by_x), *rims], layer))
    return jnp.concatenate(list(itertools.chain(*tiles)), axis=1)


def _to_bytes(words: Sequence[jax.Array], layer: int) -> jax.Array:
    """Get the bytes of a layer's groups of planes, int8, of words int32 (groups, 8, 128)."""
    begin = layer * BLOCK // GROUP
    groups = [word[begin : begin + SIDE // GROUP].reshape(-1, LANES) for word in words]
    return to_bytes(jnp.concatenate(groups))


def _read_words(geometry: WindowGeometry, limits: Any, volume: Any, row: int, column: int) -> jax.Array:
    """Read eight rows of all planes: int32 (groups of planes, 8, 128)."""
    from jax.experimental import pallas

    place = geometry.place(pallas.program_id(0))
    shift_z, shift_y = (
        jnp.where(along > 0, 0, unit) for along, unit in zip(place, (MARGIN, BLOCK), strict=True)
    )
    rows = pallas.ds(pallas.multiple_of(row * BLOCK - shift_y, BLOCK), BLOCK) if row else slice(0, BLOCK)
    lanes = slice(column * LANES, (column + 1) * LANES)
    depth = LAYERS * BLOCK
    parts = (
        slice(0, MARGIN),
        pallas.ds(MARGIN - shift_z, depth),
        pallas.ds(MARGIN + depth - shift_z, MARGIN),
    )
    planes = [
        _to_voxels(geometry, limits, volume[part, rows, lanes], (part_z, row, column))
        for part_z, part in enumerate(parts)
    ]
    return to_words(jnp.concatenate(planes), -MARGIN)


def _to_voxels(
    geometry: WindowGeometry, limits: Any, values: jax.Array, part: tuple[int, int, int]
) -> jax.Array:
    """Normalise values to [0, 255], 0 outside of the volume.

    Args:
        geometry: of the volume.
        limits: minimum and scale.
        values: float32 (planes, 8, 128).
        part: place of the values: part along z, row of registers along y, and column of tiles.
    """
    from jax.experimental import pallas

    part_z, row, column = part
    first_plane = (-MARGIN, 0, LAYERS * BLOCK)[part_z]
    z, y = geometry.place(pallas.program_id(0))
    corner = (
        z * (LAYERS * BLOCK) + first_plane,
        y * (TILE_Y * BLOCK) + (row - 1) * BLOCK,
        column * LANES,
    )
    of_program = (LAYERS * BLOCK, TILE_Y * BLOCK, LANES)
    scale: jax.Array = limits[1]
    for place, length, is_rim in zip(
        corner, geometry.shape, (part_z != 1, row in (0, TILE_Y + 1), False), strict=True
    ):
        if is_rim:
            scale = jnp.where((place >= 0) & (place < length), scale, 0.0)
    voxels = normalize_voxels(values, limits[0], scale)
    for axis, (place, length, whole) in enumerate(zip(corner, geometry.shape, of_program, strict=True)):
        if length % whole:
            offset = lax.broadcasted_iota(jnp.int32, voxels.shape, axis)
            voxels = jnp.where(place + offset < length, voxels, 0.0)
    return voxels
