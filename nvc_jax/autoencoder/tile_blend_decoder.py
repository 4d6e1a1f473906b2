"""Kernel of TPUs that decodes blocks with margins and blends them: it writes each voxel once.

Its specification is ``tile_layout.decode``. Programs go along z. Each keeps what the blocks of the next one
overlap, and so writes planes from two before its own. Of the blocks before and after its own along y, it
decodes the rim.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_blending import (
    PLANES,
    ROWS,
    BlendGeometry,
    blend_along_y,
    blend_along_z,
    restore,
    swap_sides,
    swap_tiles,
)
from nvc_jax.autoencoder.tile_layers import decode_hidden
from nvc_jax.autoencoder.tile_operations import BLOCK, LANES, TILE_X, TILE_Y, multiply_once, to_lanes
from nvc_jax.autoencoder.tile_parameters import Move, prepare_decoder
from nvc_jax.autoencoder.tile_windows import LAYERS, MARGIN, SIDE, VMEM_BYTES, moves_of_plane
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
    limits = jnp.stack([low, high, high * 0.5 - low * 0.5])
    layers = prepare_decoder(model, _MOVES, n_parts=1, factor=0.5, interpret=interpret)
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
            tpu.VMEM((units, n_lanes), jnp.bfloat16),
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


def _moves() -> Iterator[Move]:
    """Get the moves of the last layer's rows from the order of blocks to that of registers, part by part."""
    for z in range(SIDE):
        part, plane = divmod(z, PLANES)
        core = part * ROWS + plane * SIDE * BLOCK
        rim = part * ROWS + PLANES * SIDE * BLOCK + plane * (SIDE // 2) * BLOCK
        yield from moves_of_plane(z * SIDE**2, core, rim - core, BLOCK, 1)


_MOVES = tuple(_moves())


class _LastLayer(NamedTuple):
    """The last layer of a program's blocks.

    Attributes:
        geometry: of the volume.
        kernel: reference to bfloat16 (1728, units).
        bias: reference to float32 (1728, 128).
        hidden: reference to values of blocks, bfloat16 (units, 128 · tiles).
    """

    geometry: BlendGeometry
    kernel: Any
    bias: Any
    hidden: Any

    def decode_column(self, part: int, column: int) -> jax.Array:
        """Decode a part of a column of tiles: registers, float32 (layers, 72, 8, 128)."""
        tiles = range(column, LAYERS * self.geometry.columns, self.geometry.columns)
        lanes = [slice(tile * LANES, (tile + 1) * LANES) for tile in tiles]
        return jnp.stack([self._decode(part * ROWS, ROWS, of_tile)[0] for of_tile in lanes])

    def decode_sides(self, part: int) -> list[jax.Array]:
        """Decode a part of the rims of blocks beside the program: registers of each tile."""
        n_core, n_lanes = PLANES * SIDE * BLOCK, LAYERS * self.geometry.columns * LANES
        return self._decode(part * ROWS + n_core, ROWS - n_core, slice(n_lanes, None))

    def _decode(self, first: int, n_rows: int, lanes: slice) -> list[jax.Array]:
        """Decode some voxels of blocks, in [-1, 1]: registers of each tile, float32 (n_rows / 8, 8, 128)."""
        rows = slice(first, first + n_rows)
        outputs = multiply_once(self.kernel[rows, :], self.hidden[:, lanes])
        return [
            jnp.tanh(outputs[:, lane : lane + LANES] + self.bias[rows, :]).reshape(-1, BLOCK, LANES)
            for lane in range(0, outputs.shape[1], LANES)
        ]


def _decode_program(geometry: BlendGeometry, limits: Any, *references: Any) -> None:
    """Decode and blend the blocks of a program.

    Args:
        geometry: of the volume.
        limits: float32 (3,), minimum, maximum, and half of their difference.
        *references: latents of the program, of the row before it along y, and of that after it; what
            ``prepare_decoder`` returns; the volume, the result; two buffers of its planes; what the next
            program along z overlaps; semaphores of the buffers; hidden values of blocks, bfloat16.
    """
    from jax.experimental import pallas

    *inputs, volume, buffers, kept, semaphores, operands = references
    latents, layers, (kernel, bias) = inputs[:3], inputs[3:-2], inputs[-2:]
    step = pallas.program_id(0)
    y, z = geometry.place(step - 1)
    writer = Writer(volume, buffers, semaphores, y)
    pallas.when(z >= 2)(lambda: writer.wait(z - 2))
    decoder = _LastLayer(geometry, kernel, bias, operands)

    # A layer's first planes need the last ones of that before. The next part is decoded while one is blended.
    parts = [*reversed(range(SIDE // PLANES))]
    columns = [decoder.decode_column(parts[0], column) for column in range(geometry.columns)]
    sides = decoder.decode_sides(parts[0])
    for part, following in itertools.zip_longest(parts, parts[1:]):
        words_of_sides = [swap_sides(geometry, tile, registers) for tile, registers in enumerate(sides)]
        of_columns, columns = columns, []
        for column in range(geometry.columns):
            if following is not None:
                columns.append(decoder.decode_column(following, column))
                sides = sides if column else decoder.decode_sides(following)
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
    hidden = decode_hidden(layers, _read_latents(geometry, *latents))
    operands[...] = hidden.astype(jnp.bfloat16)
    pallas.when(step > 0)(lambda: writer.start(z))

    @pallas.when((step > 0) & (z == geometry.programs[1] - 1))
    def _end() -> None:
        pallas.when(z >= 1)(lambda: writer.wait(z - 1))
        writer.wait(z)
        for plane in range(MARGIN):
            buffers[(z + 1) % 2, plane] = restore(limits, kept[(z + 1) % 2, plane])
        writer.finish(z + 1)


def _read_latents(geometry: BlendGeometry, latents: Any, before: Any, after: Any) -> jax.Array:
    """Read the latents of a program's tiles, and of those beside it, in the order of lanes: (n, latents)."""
    from jax.experimental import pallas

    y, z = geometry.place(pallas.program_id(0))

    def mask(blocks: jax.Array, own: tuple[Any, Any, Any]) -> jax.Array:
        """Replace blocks that the volume does not have by 0."""
        of_program = (LAYERS, TILE_Y, geometry.columns * TILE_X)
        for place, n, length in zip(own, of_program, geometry.grid, strict=True):
            if length % n:
                blocks = jnp.where(place < length, blocks, 0.0)
        return blocks

    parts = list(itertools.product(range(LAYERS), range(geometry.columns)))
    tiles, row_of = [], {}
    place = lax.broadcasted_iota(jnp.int32, (LANES, latents.shape[-1]), 0)
    for layer, column in parts:
        own = (z * LAYERS + layer, y * TILE_Y + (place & TILE_Y - 1), column * TILE_X + (place >> 3))
        rows = [latents[layer, :, column * TILE_X + x, :] for x in range(TILE_X)]
        tiles.append(mask(jnp.concatenate(rows), own))
        for is_after, reference in enumerate((before, after)):
            own = (z * LAYERS + layer, y * TILE_Y, column * TILE_X + place[:TILE_X])
            row = mask(reference[layer, 0, column * TILE_X : (column + 1) * TILE_X, :], own)
            row_of[geometry.side_row(layer, is_after > 0, column)] = row
    unused = jnp.zeros_like(row_of[0, 0])
    for tile in range(geometry.side_tiles):
        tiles.append(to_lanes(jnp.concatenate([row_of.get((tile, row), unused) for row in range(TILE_Y)])))
    return jnp.concatenate(tiles)
