"""Kernel of TPUs that encodes blocks with margins, which overlap, from where they lie in the volume.

Its specification is ``tile_layout.encode``. A program reads its blocks and the voxels around them. Voxels
become integers of 15 bits (``tile_integers``), of which a register holds four planes: what moves voxels to
the lanes of their blocks moves four at a time.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.networks import BlockAutoencoder, DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import PART, to_integers
from nvc_jax.autoencoder.tile_layers import (
    LARGEST_LAYER,
    activate,
    apply_layers,
    bias_of,
    make_layers,
    swap_in_kernel,
)
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, from_lanes, split
from nvc_jax.core.normalization import normalization_scale, normalize_by
from nvc_jax.core.platforms import may_use_tpu_kernels
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

MARGIN = 2
SIDE = BLOCK + 2 * MARGIN
LAYERS = 2
"""Layers of blocks of a program."""
LARGEST_WIDTH = 512
"""Largest width of a volume: a program has all blocks along x."""
GROUP = 4
"""Planes of which a register holds a part each."""
GROUPS = (LAYERS * BLOCK + 2 * MARGIN) // GROUP
GROUPS_PER_BLOCK = SIDE // GROUP
LARGEST_VOXEL = (1 << 15) - 1
VMEM_BYTES = 64 << 20


class _Geometry(NamedTuple):
    shape: Shape3
    columns: int


def can_run(model: BlockAutoencoder, shape: Shape3) -> bool:
    """Tell whether the kernel encodes volumes of a shape by a model."""
    if not isinstance(model, DenseAutoencoder) or not may_use_tpu_kernels():
        return False
    widths = (*model.config.hidden_sizes, model.config.latent_dim)  # type: ignore[attr-defined]
    return (
        (model.config.block_size, model.config.margin) == (BLOCK, MARGIN)
        and model.arithmetic.precision == lax.Precision.HIGH
        and max(widths) <= LARGEST_LAYER
        and shape[2] <= LARGEST_WIDTH
    )


def encode(
    model: DenseAutoencoder,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Encode a volume; see ``tile_layout.encode``."""
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    shape = check_shape(volume.shape)
    grid = grid_shape(shape, BLOCK)
    geometry = _Geometry(shape, -(-shape[2] // LANES))
    first = _first_layer(model.encoder[0].kernel[...], bias_of(model.encoder[0]))
    layers = make_layers((*list(model.encoder)[1:], model.mean))
    limits = jnp.stack([minimum * jnp.float32(2**-4), normalization_scale(minimum, maximum) * LARGEST_VOXEL])
    whole = [pallas.BlockSpec(array.shape, lambda z, y: (0, 0)) for array in (*first, *layers)]
    n_latents = model.config.latent_dim
    result = pallas.BlockSpec((LAYERS, TILE_Y, geometry.columns * TILE_X, n_latents), lambda z, y: (z, y, 0, 0))
    return pallas.pallas_call(
        functools.partial(_encode_program, geometry),
        grid=(-(-grid[0] // LAYERS), -(-grid[1] // TILE_Y)),
        in_specs=[pallas.BlockSpec(memory_space=tpu.SMEM), *_windows(geometry), *whole],
        out_specs=result,
        out_shape=jax.ShapeDtypeStruct((*grid, n_latents), jnp.float32),
        compiler_params=tpu.CompilerParams(
            dimension_semantics=("parallel",) * 2, vmem_limit_bytes=VMEM_BYTES
        ),
        interpret=interpret,
    )(limits, *[volume.astype(jnp.float32)] * 9, *first, *layers)


def _windows(geometry: _Geometry) -> list[Any]:
    """Describe the parts of the volume that a program reads: before, in and after its blocks along z and y."""
    from jax.experimental import pallas

    def along(axis: int, length: int, rim: int) -> list[tuple[int, Callable[[Any], Any]]]:
        """Get the lengths of the three parts, and their numbers by that of the program."""
        last, of_program = (geometry.shape[axis] - 1) // rim, length // rim
        return [
            (rim, lambda i: jnp.maximum(i * of_program - 1, 0)),
            (length, lambda i: i),
            (rim, lambda i: jnp.minimum((i + 1) * of_program, last)),
        ]

    width = geometry.columns * LANES

    def spec(along_z: tuple[int, Callable], along_y: tuple[int, Callable]) -> Any:
        (depth, index_z), (height, index_y) = along_z, along_y
        return pallas.BlockSpec((depth, height, width), lambda z, y: (index_z(z), index_y(y), 0))

    parts_z, parts_y = along(0, LAYERS * BLOCK, MARGIN), along(1, TILE_Y * BLOCK, BLOCK)
    return [spec(*pair) for pair in itertools.product(parts_z, parts_y)]


def _first_layer(kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
    """Prepare the first layer.

    Returns:
        First parts of its kernel and, below, second parts, int8 (2 · units, 1728); the factor of products of
        first parts, float32 (units, 1); the bias, likewise.
    """
    units = kernel.shape[-1]
    whole = kernel.sum(axis=0)
    # z: group and plane.
    parts = kernel.reshape(GROUPS_PER_BLOCK, GROUP, SIDE, SIDE, units)
    # Bytes of a word are planes 0, 2, 1, 3.
    parts = jnp.stack([parts[:, plane] for plane in (0, 2, 1, 3)], axis=1)
    core = parts[:, :, MARGIN:-MARGIN].transpose(0, 3, 2, 1, 4)  # group, x, y, plane
    head, tail = parts[:, :, :MARGIN], parts[:, :, -MARGIN:]
    even, odd = slice(0, None, 2), slice(1, None, 2)
    rim = [tail[..., even, :], head[..., odd, :], tail[..., odd, :], head[..., even, :]]
    rim_rows = jnp.concatenate(rim, axis=2).transpose(0, 3, 2, 1, 4)
    rows = jnp.concatenate([core.reshape(-1, units), rim_rows.reshape(-1, units)]).T
    integers = to_integers(rows, axis=1)
    factor = integers.scale * (PART / LARGEST_VOXEL)
    middle = (PART * PART + PART // 2) / LARGEST_VOXEL
    rest = integers.first.astype(jnp.int32).sum(axis=1, keepdims=True).astype(jnp.float32) * (PART // 2)
    bias = (bias + whole * middle).reshape(-1, 1) - factor * rest
    return jnp.concatenate([integers.first, integers.second]), factor, bias


def _encode_program(geometry: _Geometry, limits: Any, *references: Any) -> None:
    """Encode the blocks of a program."""
    volume, (kernel, factor, bias, *layers, latents) = references[:9], references[9:]
    units = factor.shape[0]
    tiles = [(layer, column) for layer in range(LAYERS) for column in range(geometry.columns)]
    sums = {tile: [jnp.zeros((2 * units, LANES), jnp.int32), jnp.zeros((units, LANES), jnp.int32)] for tile in tiles}

    def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
        return lax.dot_general(left, right, (((1,), (0,)), ((), ())), preferred_element_type=jnp.int32)

    step = BLOCK // GROUP
    rims = []
    n_core = SIDE * BLOCK * GROUP
    n_rim = n_core // 2
    for group in range(GROUPS):
        cores, rim = _read_group(geometry, limits, volume, group)
        rims.append(rim)
        for layer in range(LAYERS):
            place = group - layer * step
            if 0 <= place < GROUPS_PER_BLOCK:
                rows = slice(place * n_core, (place + 1) * n_core)
                for column in range(geometry.columns):
                    total = sums[layer, column]
                    total[0] = total[0] + multiply(kernel[:, rows], cores[0][column])
                    total[1] = total[1] + multiply(kernel[:units, rows], cores[1][column])
        layer = (group - GROUPS_PER_BLOCK + 1) // step
        if layer >= 0 and group == layer * step + GROUPS_PER_BLOCK - 1:
            rows = slice(GROUPS_PER_BLOCK * n_core, GROUPS_PER_BLOCK * (n_core + n_rim))
            for column in range(geometry.columns):
                total = sums[layer, column]
                rim0, rim1 = (
                    jnp.concatenate([rims[layer * step + i][part][column] for i in range(GROUPS_PER_BLOCK)], axis=0)
                    for part in range(2)
                )
                total[0] = total[0] + multiply(kernel[:, rows], rim0)
                total[1] = total[1] + multiply(kernel[:units, rows], rim1)
    of_first = jnp.concatenate([sums[tile][0] for tile in tiles], axis=1)
    of_rest = of_first[units:] + jnp.concatenate([sums[tile][1] for tile in tiles], axis=1)
    sums = (of_first[:units].astype(jnp.float32) * PART + of_rest.astype(jnp.float32)) * factor[...]
    values = apply_layers(layers, split(activate(sums + bias[...])), is_last_linear=True)
    for index, (layer, column) in enumerate(tiles):
        blocks = from_lanes(values[:, index * LANES : (index + 1) * LANES]).reshape(TILE_Y, TILE_X, -1)
        latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :] = blocks


def _read_group(
    geometry: _Geometry, limits: Any, volume: Any, group: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Read four planes: both parts of their voxels by column of tiles, int8 (576, 128), blocks in lanes."""
    from jax.experimental.pallas import tpu

    words = [_read_words(geometry, limits, volume, group, column) for column in range(geometry.columns)]
    row = lax.broadcasted_iota(jnp.int32, (BLOCK, LANES), 0)
    is_outer = (row < MARGIN) | (row >= BLOCK - MARGIN)

    def around(registers, y):
        # Rows 0 and 1 are the first of the next block along y, and rows 6 and 7 the last of the previous.
        return jnp.where(row < BLOCK // 2, registers[y + 2], registers[y])

    def half(register):
        return tpu.roll(register, BLOCK // 2, 0)

    missing = (-0x7F7F7F80, 0)
    kinds = []
    for part in range(2):
        kinds.append(_with_margins([swap_in_kernel(w[part][1:-1]) for w in words], jnp.full((8, 128), missing[part], jnp.int32)))
    rims = [swap_in_kernel([jnp.where(is_outer, around(w[0], y), half(around(w[1], y))) for y in range(TILE_Y)]) for w in words]
    rims = _with_margins(rims, jnp.where(is_outer, *missing))

    def join(w):
        return jnp.concatenate([tpu.bitcast(word, jnp.int8) for word in w], axis=0)

    of_rims = [[], []]
    for rim in rims:
        pairs = [(rim[x], half(rim[x + 1])) for x in range(0, SIDE, 2)]
        of_rims[0].append(join([jnp.where(is_outer, *p) for p in pairs]))
        of_rims[1].append(join([jnp.where(is_outer, half(rim[x]), rim[x + 1]) for x in range(0, SIDE, 2)]))
    return [[join(c) for c in k] for k in kinds], of_rims


def _read_words(
    geometry: _Geometry, limits: Any, volume: Any, group: int, column: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Read four planes of a column of tiles: words of both parts for each eight rows, int32 (8, 128)."""
    firsts, seconds = [], []
    for row in range(TILE_Y + 2):
        planes = [
            _read_register(geometry, limits, volume, group * GROUP + plane, row, column)
            for plane in range(GROUP)
        ]
        low, high = ((planes[i] & 0xFFFF) | (planes[i + 1] << 16) for i in (0, 2))
        mask = 0x00FF00FF
        first = ((low >> 7) & mask) | (((high >> 7) & mask) << 8)
        mask = 0x007F007F
        firsts.append(first ^ np.int32(-0x7F7F7F80))
        seconds.append((low & mask) | ((high & mask) << 8))
    return firsts, seconds


def _read_register(
    geometry: _Geometry, limits: Any, volume: Any, plane: int, row: int, column: int
) -> jax.Array:
    """Read voxels as integers of 15 bits, 0 outside of the volume: int32 (8, 128)."""
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    depth, height, width = geometry.shape
    lanes = slice(column * LANES, (column + 1) * LANES)
    z = pallas.program_id(0) * (LAYERS * BLOCK) + (plane - MARGIN)
    y = pallas.program_id(1) * (TILE_Y * BLOCK) + (row - 1) * BLOCK
    is_inside = (z >= 0) & (z < depth)
    if row in (0, TILE_Y + 1) or height % (TILE_Y * BLOCK):
        is_inside = is_inside & (y >= 0) & (y < height)
    scale = jnp.where(is_inside, limits[1], 0.0)
    part_z, plane_of_part = _find(plane, MARGIN, LAYERS * BLOCK)
    part_y, row_of_part = _find(row, 1, TILE_Y)
    rows = slice(row_of_part * BLOCK, (row_of_part + 1) * BLOCK)
    unit = _scale(volume[3 * part_z + part_y][plane_of_part, rows, lanes], limits[0], scale)
    if height % BLOCK:
        unit = jnp.where(y + lax.broadcasted_iota(jnp.int32, unit.shape, 0) < height, unit, 0.0)
    if width % LANES and column == geometry.columns - 1:
        place = column * LANES + lax.broadcasted_iota(jnp.int32, unit.shape, 1)
        unit = jnp.where(place < width, unit, 0.0)
    return tpu.bitcast(unit + jnp.float32(1 << 23), jnp.int32)


def _scale(values, minimum, scale):
    p = jnp.float32(2**-4)
    unit = jnp.clip((values * p - minimum) * scale, 0, LARGEST_VOXEL)
    return jnp.where(jnp.isnan(unit), 0, unit)


def _find(place: int, rim: int, length: int) -> tuple[int, int]:
    """Find a place in the three parts of an axis: the part, and the place in it."""
    if place < rim:
        return 0, place
    return (1, place - rim) if place < rim + length else (2, place - rim - length)


def _with_margins(columns: Sequence[list[jax.Array]], missing: int) -> list[list[jax.Array]]:
    """Add the voxels of neighbours along x to those of the blocks in lanes, by column of tiles."""
    from jax.experimental.pallas import tpu

    lane = lax.broadcasted_iota(jnp.int32, (BLOCK, LANES), 1)
    outside = missing
    results = []
    for column, registers in enumerate(columns):
        before, after = [], []
        for x in range(MARGIN):
            own = tpu.roll(registers[BLOCK - MARGIN + x], BLOCK, 1)
            other = outside if not column else tpu.roll(columns[column - 1][BLOCK - MARGIN + x], BLOCK, 1)
            before.append(jnp.where(lane < BLOCK, other, own))
            own = tpu.roll(registers[x], LANES - BLOCK, 1)
            is_last = column == len(columns) - 1
            other = outside if is_last else tpu.roll(columns[column + 1][x], LANES - BLOCK, 1)
            after.append(jnp.where(lane >= LANES - BLOCK, other, own))
        results.append([*before, *registers, *after])
    return results
