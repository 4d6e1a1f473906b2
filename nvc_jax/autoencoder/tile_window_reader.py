"""Blocks with margins, read from where they lie in the volume, within kernels of TPUs.

Voxels become integers of fifteen bits, of which a word holds one part of four planes (``tile_integers``). So
what brings voxels to the lanes of their blocks moves four of them at a time.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

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
from nvc_jax.core.normalization import PRESCALE, normalization_scale
from nvc_jax.core.shapes import Shape3

GROUP = 4
"""Planes of which a word holds a part each."""
GROUPS = (LAYERS * BLOCK + 2 * MARGIN) // GROUP
LARGEST_VOXEL = (1 << 15) - 1
"""Voxels in [0, 1] are integers up to this one."""
PLANES = (0, 2, 1, 3)
"""Planes of a group that the bytes of a word have."""
FLIPPED_BITS = 0x16168080
"""Bits of first parts to flip: the highest of each, so that they are signed, and those of exponents."""
MISSING = (-0x7F7F7F80, 0)
"""Words of both parts of voxels that are 0: the first part is an integer from -128 to 127."""


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


def limits_of_voxels(minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """Get what normalises voxels to integers: float32 (2,), for the kernels."""
    return jnp.stack([PRESCALE * minimum, LARGEST_VOXEL * normalization_scale(minimum, maximum)])


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
        Words by x, int32 (3 · groups of planes, 8, 128): first parts of cores, second parts, and rims, whose
        outer rows are first parts, and the inner ones second parts.
    """
    row, _ = rows_and_lanes()
    is_outer = is_outer_row()
    words = [_read_words(geometry, limits, volume, y, column) for y in range(TILE_Y + 2)]
    registers = []
    for y in range(1, TILE_Y + 1):
        first, second = (jnp.where(row < BLOCK // 2, words[y + 1][i], words[y - 1][i]) for i in (0, 1))
        registers.append(jnp.concatenate([*words[y], jnp.where(is_outer, first, turn(second))]))
    return swap_in_kernel(registers)


def add_margins(columns: list[list[jax.Array]]) -> list[jax.Array]:
    """Add the margins along x to what ``read_column`` returns: both parts, int8 (1728, 128 · tiles)."""
    is_outer = is_outer_row()
    of_kinds = [jnp.full((BLOCK, LANES), word) for word in MISSING] + [jnp.where(is_outer, *MISSING)]
    missing = jnp.concatenate([jnp.broadcast_to(word[None], (GROUPS, *word.shape)) for word in of_kinds])
    tiles: list[list[list[jax.Array]]] = [[[] for _ in range(LAYERS)] for _ in MISSING]
    for column, registers in enumerate(columns):
        of_x = [[of_column[x] for of_column in columns] for x in range(BLOCK)]
        before = [of_neighbour(of_x[x], column, -1, missing) for x in range(BLOCK - MARGIN, BLOCK)]
        after = [of_neighbour(of_x[x], column, 1, missing) for x in range(MARGIN)]
        by_x = [*before, *registers, *after]
        rims = [words[2 * GROUPS :] for words in by_x]
        pairs = list(zip(rims[::2], rims[1::2], strict=True))
        of_rims = (
            [jnp.where(is_outer, even, turn(odd)) for even, odd in pairs],
            [jnp.where(is_outer, turn(even), odd) for even, odd in pairs],
        )
        for part, layer in itertools.product(range(2), range(LAYERS)):
            cores = [words[part * GROUPS : (part + 1) * GROUPS] for words in by_x]
            tiles[part][layer].append(_to_bytes([*cores, *of_rims[part]], layer))
    return [jnp.concatenate(list(itertools.chain(*of_part)), axis=1) for of_part in tiles]


def _to_bytes(words: Sequence[jax.Array], layer: int) -> jax.Array:
    """Get the bytes of a layer's groups of planes, int8, of words int32 (groups, 8, 128)."""
    from jax.experimental.pallas import tpu

    begin = layer * BLOCK // GROUP
    groups = [word[begin : begin + SIDE // GROUP].reshape(-1, LANES) for word in words]
    return tpu.bitcast(jnp.concatenate(groups), jnp.int8)


def _read_words(
    geometry: WindowGeometry, limits: Any, volume: Any, row: int, column: int
) -> tuple[jax.Array, jax.Array]:
    """Read eight rows of all planes: words of both parts, int32 (groups of planes, 8, 128)."""
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
    groups = jnp.concatenate(planes).reshape(GROUPS, GROUP, BLOCK, LANES)
    low, high = (groups[:, plane] ^ (groups[:, plane + 1] << 16) for plane in (0, 2))
    first = (low >> 7 & 0x00FF00FF) | ((high >> 7 & 0x00FF00FF) << 8)
    second = (low & 0x007F007F) | ((high & 0x007F007F) << 8)
    return first ^ FLIPPED_BITS, second


def _to_voxels(
    geometry: WindowGeometry, limits: Any, values: jax.Array, part: tuple[int, int, int]
) -> jax.Array:
    """Normalise values to integers of 15 bits, 0 outside of the volume, in int32 whose other bits are set.

    Args:
        geometry: of the volume.
        limits: minimum and scale.
        values: float32 (planes, 8, 128).
        part: place of the values: part along z, row of registers along y, and column of tiles.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

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
    voxels = (values * PRESCALE - limits[0]) * scale
    voxels = jnp.minimum(jnp.where(voxels > 0, voxels, 0.0), LARGEST_VOXEL)  # NaN becomes 0
    for axis, (place, length, whole) in enumerate(zip(corner, geometry.shape, of_program, strict=True)):
        if length % whole:
            offset = lax.broadcasted_iota(jnp.int32, voxels.shape, axis)
            voxels = jnp.where(place + offset < length, voxels, 0.0)
    # In float32 of 2²³ or more, the lowest bits are those of the integer.
    bits = tpu.bitcast((voxels + float(1 << 23)).reshape(-1, LANES), jnp.int32)
    return bits.reshape(voxels.shape)
