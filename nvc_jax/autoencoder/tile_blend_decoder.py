"""Kernel of TPUs that decodes blocks with margins and blends them: it writes each voxel once.

Its specification is ``tile_layout.decode``.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blending import neighbour_weights
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import PART, to_integers
from nvc_jax.autoencoder.tile_layers import apply_layers, bias_of, make_layers, swap_in_kernel
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, split, to_lanes
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.shapes import Shape3, check_shape

MARGIN = 2
SIDE = BLOCK + 2 * MARGIN
LAYERS = 2
PAIRS = SIDE // 2
"""Pairs of planes of a block: both are in a word, 16 bits each."""
CORE_ROWS, RIM_ROWS = 2 * SIDE * BLOCK, SIDE * BLOCK
LARGEST_WORD = (1 << 16) - 1
VMEM_BYTES = 64 << 20
WEIGHTS = sum(neighbour_weights(BLOCK, MARGIN, np.ones(1, np.float32), np.ones(1, np.float32), axis=0))


class _Geometry(NamedTuple):
    grid: Shape3
    columns: int


def decode(model: DenseAutoencoder, encoded: EncodedLatents, *, interpret: bool = False) -> jax.Array:
    """Decode a volume and blend its blocks; see ``tile_layout.decode``."""
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    grid = check_shape(encoded.latents.shape[:3])
    geometry = _Geometry(grid, -(-grid[2] // TILE_X))
    width, n_latents = geometry.columns * LANES, model.config.latent_dim
    n_z, n_y = -(-grid[0] // LAYERS), -(-grid[1] // TILE_Y)
    is_float32 = encoded.dtype == "float32"
    low, high = (encoded.minimum, encoded.maximum) if is_float32 else (jnp.float32(0), jnp.float32(1))
    step = high * (1 / LARGEST_WORD) - low * (1 / LARGEST_WORD)
    layers = (*make_layers(list(model.decoder)), *_last_layer(model))
    row = geometry.columns * TILE_X
    latents = [
        pallas.BlockSpec((LAYERS, TILE_Y, row, n_latents), lambda y, z: (z, y, 0, 0)),
        pallas.BlockSpec((LAYERS, 1, row, n_latents), lambda y, z: (z, jnp.maximum(y * TILE_Y - 1, 0), 0, 0)),
        pallas.BlockSpec(
            (LAYERS, 1, row, n_latents), lambda y, z: (z, jnp.minimum((y + 1) * TILE_Y, grid[1] - 1), 0, 0)
        ),
    ]
    whole = [pallas.BlockSpec(array.shape, lambda y, z: (0, 0)) for array in layers]
    planes = (LAYERS * BLOCK, TILE_Y * BLOCK, width)
    volume = pallas.pallas_call(
        functools.partial(_decode_program, geometry),
        grid=(n_y, n_z),
        in_specs=[pallas.BlockSpec(memory_space=tpu.SMEM), *latents, *whole],
        out_specs=pallas.BlockSpec(memory_space=pallas.ANY),
        out_shape=jax.ShapeDtypeStruct((n_z * planes[0], n_y * planes[1], width), jnp.float32),
        scratch_shapes=[
            tpu.VMEM((2, *planes), jnp.float32),
            tpu.VMEM((2 * MARGIN, *planes[1:]), jnp.float32),
            tpu.SemaphoreType.DMA((2,)),
        ],
        compiler_params=tpu.CompilerParams(
            dimension_semantics=("arbitrary",) * 2, vmem_limit_bytes=VMEM_BYTES
        ),
        interpret=interpret,
    )(jnp.stack([low, high, step]), *[encoded.latents] * 3, *layers)
    depth, height, width = encoded.shape
    volume = volume[:depth, :height, :width]
    return volume if is_float32 else denormalize(volume, encoded.minimum, encoded.maximum, encoded.dtype)


def _last_layer(model: DenseAutoencoder) -> tuple[jax.Array, ...]:
    """Prepare the last layer.

    Returns:
        First parts of its kernel, int8 (1728, units); second and first parts beside each other, int8
        (1728, 2 · units); factors of the products and the bias, float32 (1728, 128), halved for ``tanh``.
    """
    kernel = _arrange(model.output.kernel[...]).T
    bias = _arrange(bias_of(model.output).reshape(1, -1)).T
    integers = to_integers(kernel, axis=None)
    both = jnp.concatenate([integers.second, integers.first], axis=1)
    scale = jnp.broadcast_to(integers.scale * 0.5, (8, LANES))
    return integers.first, both, scale, jnp.broadcast_to(bias * 0.5, (len(bias), LANES))


def _arrange(kernel: jax.Array) -> jax.Array:
    """Order the voxels of blocks, float32 (n, 1728), as the kernel has them."""
    parts = kernel.reshape(-1, PAIRS, 2, SIDE, SIDE)  # pair, plane, y, x
    core = parts[:, :, :, MARGIN:-MARGIN].swapaxes(-1, -2)
    head, tail = parts[:, :, :, :MARGIN], parts[:, :, :, -MARGIN:]
    even, odd = slice(0, None, 2), slice(1, None, 2)
    rim = [tail[..., even], head[..., odd], tail[..., odd], head[..., even]]
    rims = jnp.concatenate(rim, axis=3).swapaxes(-1, -2)
    rows = [part.reshape(len(kernel), PAIRS, -1) for part in (core, rims)]
    return jnp.concatenate(rows, axis=2).reshape(len(kernel), -1)


class _Masks(NamedTuple):
    row: jax.Array
    lane: jax.Array
    is_outer: jax.Array


def _decode_program(geometry: _Geometry, limits: Any, latents: Any, below: Any, above: Any, *references: Any) -> None:
    """Decode and blend the blocks of a program."""
    *layers, kernel, kernel_both, scale, bias, volume, buffer, carried, semaphores = references
    from jax.experimental import pallas

    columns = geometry.columns
    y, z = pallas.program_id(0), pallas.program_id(1)
    tiles = [(layer, column) for layer in range(LAYERS) for column in range(columns)]
    blocks = [_blocks_of_tile(geometry, latents, *tile) for tile in tiles]
    sides = [
        (layer, side, column) for layer in range(LAYERS) for side in range(2) for column in range(columns)
    ]
    n_rims = -(-len(sides) // TILE_Y)
    for rim in range(n_rims):
        rows = [
            (below, above)[side][layer, 0, column * TILE_X : (column + 1) * TILE_X, :]
            for layer, side, column in sides[rim * TILE_Y : (rim + 1) * TILE_Y]
        ]
        rows += [rows[0]] * (TILE_Y - len(rows))
        blocks.append(jnp.concatenate(rows, axis=0))
    inputs = split(jnp.concatenate([to_lanes(part) for part in blocks], axis=0))
    hidden = to_integers(apply_layers(layers, inputs, is_first_transposed=True), axis=0)
    factor = hidden.scale * scale[:1, :1]
    row, lane = (lax.broadcasted_iota(jnp.int32, (BLOCK, LANES), axis) for axis in (0, 1))
    masks = _Masks(row, lane, (row < MARGIN) | (row >= BLOCK - MARGIN))
    n_tiles = len(tiles) * LANES
    parts = (hidden.first, jnp.concatenate([hidden.first, hidden.second], axis=0))

    @pallas.when(z == 0)
    def _begin() -> None:
        carried[...] = jnp.zeros(carried.shape, jnp.float32)

    cores = {}
    rims = {}
    sides_of = {}
    pending = {}
    for pair in range(PAIRS):
        first = pair * (CORE_ROWS + RIM_ROWS)
        units = _decode_rows((kernel, kernel_both, bias), parts, factor, first, CORE_ROWS + RIM_ROWS, slice(0, n_tiles))
        rim_units = _decode_rows(
            (kernel, kernel_both, bias), parts, factor, first + CORE_ROWS, RIM_ROWS, slice(n_tiles, None)
        )
        for layer in range(LAYERS):
            by_column = [units[:, (layer * columns + c) * LANES :][:, :LANES] for c in range(columns)]
            in_core = [_registers(u[:CORE_ROWS]) for u in by_column]
            in_rim = [_registers(u[CORE_ROWS:]) for u in by_column]
            for c in range(columns):
                cores[pair, layer, c] = _words_of_cores(geometry, masks, in_core, c)
                rims[pair, layer, c] = _rims_along_x(geometry, masks, in_rim, c)
        for r in range(n_rims):
            registers = _registers(rim_units[:, r * LANES : (r + 1) * LANES])
            sides_of[pair, r] = _rims_of_sides(geometry, masks, registers, r)

    # Rims of two pairs are swapped at once.
    half = functools.partial(_roll, by=BLOCK // 2, axis=0)

    def swap_rims(get):
        result = {}
        for pair in range(0, PAIRS, 2):
            one, other = get(pair), get(pair + 1)
            registers = []
            for a, b in zip(one, other, strict=True):
                registers += [jnp.where(masks.is_outer, a, half(b)), jnp.where(masks.is_outer, half(a), b)]
            swapped = swap_in_kernel(registers)
            result[pair], result[pair + 1] = swapped, [half(x) for x in swapped]
        return result

    swapped_rims = {(l, c): swap_rims(lambda p: rims[p, l, c]) for l, c in tiles}
    swapped_sides = {r: swap_rims(lambda p: sides_of[p, r]) for r in range(n_rims)}

    weight_y = jnp.zeros((BLOCK, LANES), jnp.float32)
    for place, weight in enumerate(WEIGHTS):
        if weight:
            weight_y = jnp.where(row == place, float(weight), weight_y)
    is_first, is_last = y == 0, (y + 1) * TILE_Y >= geometry.grid[1]
    slot = z % 2
    _wait(geometry, volume, buffer, semaphores, y, z, 2)
    for layer in range(LAYERS):
        number = z * LAYERS + layer
        weight_low = jnp.where(number > 0, 1.0, 0.0)
        weight_high = jnp.where(number < geometry.grid[0], weight_low, 0.0)
        for column in range(columns):
            lanes = slice(column * LANES, (column + 1) * LANES)
            around = [
                swapped_sides[i // TILE_Y] and (i // TILE_Y, i % TILE_Y)
                for i in (sides.index((layer, 0, column)), sides.index((layer, 1, column)))
            ]
            for pair in range(PAIRS):
                rim = swapped_rims[layer, column][pair]
                low, high = (swapped_sides[r][pair][i] for r, i in around)
                extended = [low, *rim, high]
                for yb in range(TILE_Y):
                    words = (cores[pair, layer, column][yb], jnp.where(row < BLOCK // 2, extended[yb], extended[yb + 2]))
                    own_weight = weight_y
                    if yb == 0:
                        own_weight = jnp.where((row < BLOCK // 2) & is_first, 0.0, own_weight)
                    if geometry.grid[1] % TILE_Y:
                        own_weight = jnp.where(
                            (row >= BLOCK // 2) & (y * TILE_Y + yb + 1 >= geometry.grid[1]), 0.0, own_weight
                        )
                    elif yb == TILE_Y - 1:
                        own_weight = jnp.where((row >= BLOCK // 2) & is_last, 0.0, own_weight)
                    rows = slice(yb * BLOCK, (yb + 1) * BLOCK)
                    for plane in range(2):
                        own, other = (_number_of(word, plane) for word in words)
                        value = own + own_weight * (other - own)
                        window = 2 * pair + plane
                        place = layer * BLOCK + window  # in the buffer, from two planes before the program's

                        def get(index):
                            if layer:
                                return pending[index, column, yb]
                            return carried[index, rows, lanes]

                        def put(place, value):
                            restored = jnp.clip(limits[0] + value * limits[2], limits[0], limits[1])
                            buffer[slot, place, rows, lanes] = restored

                        if window < MARGIN:
                            before = get(window)
                            weight = float(WEIGHTS[BLOCK - MARGIN + window]) * weight_high
                            put(place, before + weight * (value - before))
                        elif window < 2 * MARGIN:
                            tail = get(window)
                            weight = float(WEIGHTS[window - MARGIN]) * weight_low
                            put(place, value + weight * (tail - value))
                        elif window < BLOCK:
                            put(place, value)
                        elif layer == LAYERS - 1:
                            carried[window - BLOCK, rows, lanes] = value
                        else:
                            pending[window - BLOCK, column, yb] = value
    _start(geometry, volume, buffer, semaphores, y, z)

    @pallas.when(z == pallas.num_programs(1) - 1)
    def _end() -> None:
        _wait(geometry, volume, buffer, semaphores, y, z + 1, 2)
        _wait(geometry, volume, buffer, semaphores, y, z, 0)
        other = 1 - slot
        for plane in range(MARGIN):
            restored = limits[0] + carried[plane] * limits[2]
            buffer[other, plane] = jnp.clip(restored, limits[0], limits[1])
        last = _copy_of(geometry, volume, buffer, semaphores, y, other, (z + 1) * LAYERS * BLOCK - MARGIN, slice(0, MARGIN))
        last.start()
        last.wait()


def _copy_of(geometry, volume, buffer, semaphores, y, slot, plane, planes) -> Any:
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    height = TILE_Y * BLOCK
    return tpu.make_async_copy(
        buffer.at[slot, planes],
        volume.at[pallas.ds(plane, planes.stop - planes.start), pallas.ds(y * height, height)],
        semaphores.at[slot],
    )


def _copies(geometry, volume, buffer, semaphores, y, z):
    slot, depth = z % 2, LAYERS * BLOCK
    main = _copy_of(geometry, volume, buffer, semaphores, y, slot, z * depth, slice(MARGIN, depth))
    head = _copy_of(
        geometry, volume, buffer, semaphores, y, slot, jnp.maximum(z * depth - MARGIN, 0), slice(0, MARGIN)
    )
    return main, head


def _start(geometry, volume, buffer, semaphores, y, z) -> None:
    from jax.experimental import pallas

    main, head = _copies(geometry, volume, buffer, semaphores, y, z)
    main.start()
    pallas.when(z > 0)(head.start)


def _wait(geometry, volume, buffer, semaphores, y, z, ago) -> None:
    """Wait until what the program ``ago`` before has written is in memory."""
    from jax.experimental import pallas

    main, head = _copies(geometry, volume, buffer, semaphores, y, z - ago)
    pallas.when(z >= ago)(main.wait)
    pallas.when(z > ago)(head.wait)


def _roll(array, by, axis):
    from jax.experimental.pallas import tpu

    return tpu.roll(array, by, axis)


def _registers(rows):
    return [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]


def _blocks_of_tile(geometry: _Geometry, latents: Any, layer: int, column: int) -> jax.Array:
    from jax.experimental import pallas

    blocks = latents[layer, :, column * TILE_X : (column + 1) * TILE_X, :].reshape(LANES, -1)
    place = lax.broadcasted_iota(jnp.int32, blocks.shape, 0)
    places = (
        pallas.program_id(1) * LAYERS + layer,
        pallas.program_id(0) * TILE_Y + (place >> 4),
        column * TILE_X + (place & TILE_X - 1),
    )
    of_program = (LAYERS, TILE_Y, geometry.columns * TILE_X)
    for own, length, unit in zip(places, geometry.grid, of_program, strict=True):
        if length % unit:
            blocks = jnp.where(own < length, blocks, 0.0)
    return blocks


def _decode_rows(layer, parts, factor, first, n_rows, lanes) -> jax.Array:
    """Decode some voxels, in [-1, 1]."""
    kernel, kernel_both, bias = layer
    rows = slice(first, first + n_rows)

    def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
        return lax.dot_general(left, right, (((1,), (0,)), ((), ())), preferred_element_type=jnp.int32)

    firsts = multiply(kernel[rows, :], parts[0][:, lanes])
    rest = multiply(kernel_both[rows, :], parts[1][:, lanes])
    sums = ((firsts << 7) + rest).astype(jnp.float32) * (factor[:, lanes] * PART)
    n_tiles = sums.shape[1] // LANES
    return jnp.tanh(sums + jnp.concatenate([bias[rows, :]] * n_tiles, axis=1))


def _has_neighbours(geometry, masks, column):
    place = column * TILE_X + (masks.lane >> 3)
    return place > 0, place + 1 < geometry.grid[2]


def _blend(own, other, weight):
    return own + weight * (other - own)


def _along_x(masks, registers, column, index, by):
    """Get a register of the neighbours along x: of the previous block for a positive rotation."""
    own = _roll(registers[column][index], by % LANES, 1)
    neighbour = column - 1 if by > 0 else column + 1
    if not 0 <= neighbour < len(registers):
        return own
    other = _roll(registers[neighbour][index], by % LANES, 1)
    return jnp.where(masks.lane < BLOCK if by > 0 else masks.lane >= LANES - BLOCK, other, own)


def _words_of_cores(geometry, masks, columns, column):
    """Blend cores along x; both planes of a pair as words: by row of blocks, int32 (8, 128)."""
    has_previous, has_next = _has_neighbours(geometry, masks, column)
    planes = []
    for plane in range(2):
        registers = [c[plane * SIDE : (plane + 1) * SIDE] for c in columns]
        own = registers[column][MARGIN:-MARGIN]
        for x in range(MARGIN):
            other = _along_x(masks, registers, column, SIDE - MARGIN + x, BLOCK)
            own[x] = _blend(own[x], other, jnp.where(has_previous, float(WEIGHTS[x]), 0.0))
            other = _along_x(masks, registers, column, x, -BLOCK)
            x = BLOCK - MARGIN + x
            own[x] = _blend(own[x], other, jnp.where(has_next, float(WEIGHTS[x]), 0.0))
        planes.append(own)
    return swap_in_kernel([_word(*pair) for pair in zip(*planes, strict=True)])


def _rims_along_x(geometry, masks, columns, column):
    """Blend rims along x: words of both planes by pair of x."""
    has_previous, has_next = _has_neighbours(geometry, masks, column)
    planes = []
    for plane in range(2):
        registers = [c[plane * PAIRS : (plane + 1) * PAIRS] for c in columns]
        before = _along_x(masks, registers, column, PAIRS - 1, BLOCK)
        after = _along_x(masks, registers, column, 0, -BLOCK)
        planes.append(_blend_rims(masks, registers[column], before, after, has_previous, has_next))
    return [_word(*pair) for pair in zip(*planes, strict=True)]


def _blend_rims(masks, registers, before, after, has_previous, has_next):
    own = registers[1:-1]
    weights = [
        jnp.where(masks.is_outer, float(WEIGHTS[x]), float(WEIGHTS[x + 1])) for x in (0, BLOCK - MARGIN)
    ]
    own[0] = _blend(own[0], before, jnp.where(has_previous, weights[0], 0.0))
    own[-1] = _blend(own[-1], after, jnp.where(has_next, weights[1], 0.0))
    return own


def _rims_of_sides(geometry, masks, registers, rim):
    """Blend the rims of blocks before and after the program along y."""
    side = rim * TILE_Y + (masks.lane & BLOCK - 1)
    columns = geometry.columns
    column = side & columns - 1 if columns in (1, 2, 4) else side - side // columns * columns
    has_previous, has_next = _has_neighbours(geometry, masks, column)
    planes = []
    for plane in range(2):
        own = registers[plane * PAIRS : (plane + 1) * PAIRS]
        before = jnp.where(masks.lane < BLOCK, _roll(own[-1], BLOCK + 1, 1), _roll(own[-1], BLOCK, 1))
        after = jnp.where(
            masks.lane >= LANES - BLOCK, _roll(own[0], LANES - BLOCK - 1, 1), _roll(own[0], LANES - BLOCK, 1)
        )
        planes.append(_blend_rims(masks, own, before, after, has_previous, has_next))
    return [_word(*pair) for pair in zip(*planes, strict=True)]


def _word(one: jax.Array, other: jax.Array) -> jax.Array:
    """Round two numbers in [-1, 1] to 16 bits each: a word."""
    from jax.experimental.pallas import tpu

    # In float32 of 2²³ or more, the lowest bits are those of the integer.
    one, other = (
        tpu.bitcast(value * (LARGEST_WORD / 2) + (float(1 << 23) + LARGEST_WORD // 2), jnp.int32)
        for value in (one, other)
    )
    return (one & LARGEST_WORD) | (other << 16)


def _number_of(word: jax.Array, plane: int) -> jax.Array:
    """Get one of the numbers of a word, float32, from 0 to 65535."""
    from jax.experimental.pallas import tpu

    bits = lax.shift_right_logical(word, jnp.full_like(word, 16)) if plane else word & LARGEST_WORD
    return tpu.bitcast(bits | 0x4B000000, jnp.float32) - float(1 << 23)
