"""Kernel of TPUs that decodes blocks with margins and blends them: it writes each voxel once.

Its specification is ``tile_layout.decode``. Programs go along z. Each keeps what the blocks of the next one
overlap, and so writes planes from two before its own. Of the blocks before and after its own along y, it
decodes the rim.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_blending import (
    LARGEST_WORD,
    PLANES,
    ROWS,
    BlendGeometry,
    blend_along_y,
    blend_along_z,
    restore,
    swap_sides,
    swap_tiles,
)
from nvc_jax.autoencoder.tile_integers import PART, multiply, to_integers
from nvc_jax.autoencoder.tile_layers import apply_layers, bias_of, make_layers
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, split, to_lanes
from nvc_jax.autoencoder.tile_windows import LAYERS, MARGIN, SIDE, VMEM_BYTES, arrange
from nvc_jax.autoencoder.tile_writer import Writer
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.shapes import check_shape


def decode(model: DenseAutoencoder, encoded: EncodedLatents, *, interpret: bool = False) -> jax.Array:
    """Decode a volume and blend its blocks; see ``tile_layout.decode``.

    ``interpret`` runs the kernel by ``jax.numpy``, on any device, for tests.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    grid = check_shape(encoded.latents.shape[:3])
    geometry = BlendGeometry(grid, -(-grid[2] // TILE_X))
    n_y, n_z = geometry.programs
    depth, height, width = LAYERS * BLOCK, TILE_Y * BLOCK, geometry.columns * LANES
    row = (geometry.columns * TILE_X, model.config.latent_dim)
    is_float32 = encoded.dtype == "float32"
    low, high = (encoded.minimum, encoded.maximum) if is_float32 else (jnp.float32(0), jnp.float32(1))
    limits = jnp.stack([low, high, high * (1 / LARGEST_WORD) - low * (1 / LARGEST_WORD)])
    layers = (*make_layers(list(model.decoder)), *_last_layer(model))
    n_lanes, units = geometry.tiles * LANES, model.output.kernel[...].shape[0]
    volume = pallas.pallas_call(
        functools.partial(_decode_program, geometry),
        grid=(n_y * n_z + 1,),
        in_specs=[
            pallas.BlockSpec(memory_space=tpu.SMEM),
            *_windows(geometry, row),
            *[pallas.BlockSpec(memory_space=tpu.VMEM)] * len(layers),
        ],
        out_specs=pallas.BlockSpec(memory_space=pallas.ANY),
        out_shape=jax.ShapeDtypeStruct((n_z * depth, n_y * height, width), jnp.float32),
        scratch_shapes=[
            tpu.VMEM((2, depth, height, width), jnp.float32),
            tpu.VMEM((LAYERS + 1, 2 * MARGIN, height, width), jnp.float32),
            tpu.SemaphoreType.DMA((2,)),
            tpu.VMEM((2 * units, n_lanes), jnp.int8),
            tpu.VMEM((1, n_lanes), jnp.float32),
        ],
        compiler_params=tpu.CompilerParams(dimension_semantics=("arbitrary",), vmem_limit_bytes=VMEM_BYTES),
        interpret=interpret,
    )(limits, *[encoded.latents] * 3, *layers)
    volume = volume[tuple(slice(0, length) for length in encoded.shape)]
    return volume if is_float32 else denormalize(volume, encoded.minimum, encoded.maximum, encoded.dtype)


def _windows(geometry: BlendGeometry, row: tuple[int, int]) -> list[Any]:
    """Describe the latents that a program reads: its own, and those of the rows before and after it."""
    from jax.experimental import pallas

    last = geometry.grid[1] - 1

    def spec(n_rows: int, first: Callable[[Any], Any]) -> Any:
        def index(step: Any) -> tuple[Any, Any, int, int]:
            y, z = geometry.place(step)
            return z, first(y), 0, 0

        return pallas.BlockSpec((LAYERS, n_rows, *row), index)

    return [
        spec(TILE_Y, lambda y: y),
        spec(1, lambda y: jnp.maximum(y * TILE_Y - 1, 0)),
        spec(1, lambda y: jnp.minimum((y + 1) * TILE_Y, last)),
    ]


def _last_layer(model: DenseAutoencoder) -> tuple[jax.Array, ...]:
    """Prepare the last layer, for ``tanh`` of half of its outputs.

    Returns:
        First parts of its kernel, int8 (1728, units); second and first parts beside each other, int8
        (1728, 2 · units); the factor of second parts, float32 (1, 128); the bias, float32 (1728, 128).
    """
    planes = np.arange(SIDE**3).reshape(SIDE // PLANES, PLANES, SIDE, SIDE)
    parts = [part.reshape(SIDE // PLANES, -1) for part in arrange(planes)]
    places = np.concatenate(parts, axis=1).ravel()
    kernel, bias = model.output.kernel[...].T * 0.5, bias_of(model.output).reshape(-1, 1) * 0.5
    kernel, bias = (
        jnp.take(part, places, axis=0, mode="clip", unique_indices=True) for part in (kernel, bias)
    )
    integers = to_integers(kernel, axis=None)
    both = jnp.concatenate([integers.second, integers.first], axis=1)
    factor = jnp.broadcast_to(integers.scale * PART, (1, LANES))
    return integers.first, both, factor, jnp.broadcast_to(bias, (len(bias), LANES))


def _decode_program(geometry: BlendGeometry, limits: Any, *references: Any) -> None:
    """Decode and blend the blocks of a program.

    Args:
        geometry: of the volume.
        limits: float32 (3,), minimum, maximum, and difference of two numbers of a word.
        *references: latents of the program, of the row before it along y, and of that after it; parts of the
            hidden layers; what ``_last_layer`` returns; the volume, the result; two buffers of its planes;
            what the next program along z overlaps; semaphores of the buffers.
    """
    from jax.experimental import pallas

    *inputs, volume, buffers, kept, semaphores, operands, scales = references
    latents, layers, (kernel, kernel_both, factor, bias) = inputs[:3], inputs[3:-4], inputs[-4:]
    step = pallas.program_id(0)
    y, z = geometry.place(step - 1)
    writer = Writer(volume, buffers, semaphores, y)
    pallas.when(z >= 2)(lambda: writer.wait(z - 2))
    units = kernel.shape[1]
    n_lanes = LAYERS * geometry.columns * LANES
    n_core = PLANES * SIDE * BLOCK

    def decode_rows(first: int, n_rows: int, lanes: slice) -> list[jax.Array]:
        """Decode some voxels of blocks, in [-1, 1]: registers of each tile, float32 (n_rows / 8, 8, 128)."""
        rows = slice(first, first + n_rows)
        products = multiply(kernel[rows, :], operands[:units, lanes]) << 7
        products += multiply(kernel_both[rows, :], operands[:, lanes])
        outputs = products.astype(jnp.float32) * scales[:, lanes]
        return [
            jnp.tanh(outputs[:, lane : lane + LANES] + bias[rows, :]).reshape(-1, BLOCK, LANES)
            for lane in range(0, outputs.shape[1], LANES)
        ]

    for part in reversed(range(SIDE // PLANES)):  # a layer's first planes need the last ones of that before
        first = part * ROWS
        tiles = decode_rows(first, ROWS, slice(0, n_lanes))
        sides = decode_rows(first + n_core, ROWS - n_core, slice(n_lanes, None))
        words_of_sides = [swap_sides(geometry, tile, registers) for tile, registers in enumerate(sides)]
        for column in range(geometry.columns):
            of_columns = [
                jnp.stack([tiles[layer * geometry.columns + c] for layer in range(LAYERS)])
                for c in range(geometry.columns)
            ]
            cores, rims = swap_tiles(geometry, of_columns, column)
            ends = [
                jnp.stack([words_of_sides[t][r] for t, r in rows])
                for rows in (
                    [geometry.side_row(layer, is_after, column) for layer in range(LAYERS)]
                    for is_after in (False, True)
                )
            ]
            planes = blend_along_y(geometry, y, cores, [ends[0], *rims, ends[1]])
            blend_along_z(geometry, z, (limits, buffers, kept), planes, part, column)
    pallas.when(step > 0)(lambda: writer.start(z))
    tiles = [to_lanes(tile) for tile in _read_latents(geometry, *latents)]
    values = apply_layers(layers, split(jnp.concatenate(tiles)), is_first_transposed=True)
    hidden = to_integers(values, axis=0)
    operands[...] = jnp.concatenate([hidden.first, hidden.second])
    scales[...] = hidden.scale * factor[:, :1]

    @pallas.when((step > 0) & (z == geometry.programs[1] - 1))
    def _end() -> None:
        pallas.when(z >= 1)(lambda: writer.wait(z - 1))
        writer.wait(z)
        for plane in range(MARGIN):
            buffers[(z + 1) % 2, plane] = restore(limits, kept[(z + 1) % 2, plane])
        writer.finish(z + 1)


def _read_latents(geometry: BlendGeometry, latents: Any, before: Any, after: Any) -> list[jax.Array]:
    """Read the latents of a program's tiles, and of those beside it: float32 (128, latents) of each."""
    from jax.experimental import pallas

    y, z = geometry.place(pallas.program_id(0))

    def read(reference: Any, layer: int, column: int) -> jax.Array:
        """Read rows of blocks; those that the volume does not have are 0."""
        blocks = reference[layer, :, column * TILE_X : (column + 1) * TILE_X, :]
        blocks = blocks.reshape(-1, blocks.shape[-1])
        place = lax.broadcasted_iota(jnp.int32, blocks.shape, 0)
        places = (
            (z * LAYERS + layer, LAYERS),
            (y * TILE_Y + (place >> 4), TILE_Y),
            (column * TILE_X + (place & TILE_X - 1), geometry.columns * TILE_X),
        )
        for (own, of_program), length in zip(places, geometry.grid, strict=True):
            if length % of_program:
                blocks = jnp.where(own < length, blocks, 0.0)
        return blocks

    parts = list(itertools.product(range(LAYERS), range(geometry.columns)))
    tiles = [read(latents, *part) for part in parts]
    row_of = {
        geometry.side_row(layer, is_after, column): read(after if is_after else before, layer, column)
        for (layer, column), is_after in itertools.product(parts, (False, True))
    }
    unused = jnp.zeros_like(row_of[0, 0])
    for tile in range(geometry.side_tiles):
        tiles.append(jnp.concatenate([row_of.get((tile, row), unused) for row in range(TILE_Y)]))
    return tiles
