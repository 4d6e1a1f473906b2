"""Separable transform by kernels of GPUs; ``separable`` has the specification.

One kernel multiplies along y and x, and one along z, so that the volume goes through the memory twice instead
of three times. What else is to be done with each value is done where it is loaded and stored: coefficients
come from blocks and go there, and values are scaled to their range and back. Results differ from the
specification's by roundings.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.group_kernels import load_tile, load_where, store_where
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.group_products import LoadPlane, multiply_columns, multiply_planes


class EnergyRule(NamedTuple):
    """Energy of a coefficient: its magnitude in some unit, up to a limit.

    Attributes:
        scale: by which a magnitude is multiplied.
        limit: of the energy.
    """

    scale: float = 1
    limit: float = math.inf

    def energies(self, coefficients: jax.Array) -> jax.Array:
        """Compute the energies of coefficients, float32."""
        return jnp.minimum(jnp.abs(coefficients * np.float32(self.scale)), np.float32(self.limit))


class CoefficientMemory(NamedTuple):
    """Arrays, (512, blocks) each, that hold coefficients.

    Attributes:
        dtypes: of the arrays.
        store: stores coefficients within a kernel: to the arrays, by coefficient and block, values; where a
            mask says so.
    """

    dtypes: tuple[str, ...]
    store: Callable[[Sequence[Any], Sequence[jax.Array], jax.Array, jax.Array], None]


def _store_floats(
    memory: Sequence[Any], index: Sequence[jax.Array], values: jax.Array, exists: jax.Array
) -> None:
    store_where(memory[0], index, values, exists)


_FLOATS = CoefficientMemory(("float32",), _store_floats)
"""Memory of coefficients as they are."""


def forward(
    volume: jax.Array,
    limits: tuple[jax.Array, jax.Array] | None,
    matrices: list[jax.Array],
    rule: EnergyRule,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Compute coefficients of a volume, of the arguments of ``forward_to``.

    Returns:
        float32 (blocks, 512), whose memory has blocks last: neighbours along x are next to each other; and
        float32 (blocks,), the energies of blocks.
    """
    (blocks,), energies = forward_to(_FLOATS, volume, limits, matrices, rule, interpret=interpret)
    return jnp.transpose(blocks), energies


def forward_to(
    memory: CoefficientMemory,
    volume: jax.Array,
    limits: tuple[jax.Array, jax.Array] | None,
    matrices: list[jax.Array],
    rule: EnergyRule,
    *,
    interpret: bool = False,
) -> tuple[list[jax.Array], jax.Array]:
    """Compute coefficients of a volume: scale it, repeat its last voxels up to the sides, and transform it.

    Args:
        memory: for the coefficients.
        volume: (z, y, x), a device dtype.
        limits: float32, values that become −½ and ½; None for a volume that is scaled, float32.
        matrices: float32 (side, side) for each axis, from voxels to coefficients.
        rule: of energies.
        interpret: run the kernels by ``jax.numpy``.

    Returns:
        The arrays of the memory, and float32 (blocks,), the energies of blocks.
    """
    z, y, x = (len(matrix) for matrix in matrices)
    columns = multiply_columns(
        partial(_load_centered, x),
        _store_columns,
        (volume, None if limits is None else [jnp.reshape(limit, 1) for limit in limits]),
        matrices[0],
        y * x,
        jax.ShapeDtypeStruct((z, y * x), jnp.float32),
        interpret=interpret,
    )
    grid = grid_shape((z, y, x), BLOCK_SIZE)
    shape = (N_COEFFICIENTS, math.prod(grid))
    results = [jax.ShapeDtypeStruct(shape, jnp.dtype(name)) for name in memory.dtypes]
    *blocks, energies = multiply_planes(
        _load_plane,
        partial(_store_blocks, (z, y, x), rule, memory.store),
        columns.reshape(z, y, x),
        (matrices[1], matrices[2]),
        z,
        [*results, jax.ShapeDtypeStruct((z, grid[1], grid[2]), jnp.float32)],
        _by_position,
        interpret=interpret,
    )
    energies = jnp.sum(energies.reshape(grid[0], BLOCK_SIZE, -1), axis=1)
    return blocks, energies.reshape(-1)


def inverse(
    load: LoadPlane,
    source: Any,
    matrices: list[jax.Array],
    limits: tuple[jax.Array, jax.Array],
    shape: Shape3,
    dtype: str,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Compute a volume from coefficients, and scale it to its range.

    Args:
        load: reads coefficients.
        source: tree of arrays, from which it reads them.
        matrices: float32 (side, side) for each axis, from coefficients to voxels.
        limits: float32, values that −½ and ½ become.
        shape: of the volume: at most the sides.
        dtype: of the volume, a device dtype.
        interpret: run the kernels by ``jax.numpy``.
    """
    z, y, x = (len(matrix) for matrix in matrices)
    result = jax.ShapeDtypeStruct((z, y, x), jnp.float32)
    of_plane = (matrices[1], matrices[2])
    planes = multiply_planes(load, _store_plane, source, of_plane, z, result, interpret=interpret)
    # Triton's language cannot round to the nearest integer, which is left to XLA.
    is_float = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    volume = multiply_columns(
        _load_columns,
        partial(_store_voxels, x, is_float),
        (planes.reshape(z, y * x), jnp.stack(limits)),
        matrices[0],
        y * x,
        jax.ShapeDtypeStruct(shape, jnp.dtype(dtype) if is_float else jnp.float32),
        interpret=interpret,
    )
    return volume if is_float else denormalize(volume, *limits, dtype)


def locate_coefficients(
    sides: Shape3, z: jax.Array, y: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the coefficients of a tile of a plane in their blocks.

    Args:
        sides: of the volume, multiples of 8; static.
        z: int32.
        y: int32 (n,).
        x: int32 (m,).

    Returns:
        The block, the coefficient, and whether it exists: (n, m).
    """
    y, x = y[:, None], x[None]
    block = (z // BLOCK_SIZE * (sides[1] // BLOCK_SIZE) + y // BLOCK_SIZE) * (sides[2] // BLOCK_SIZE)
    coefficient = (z % BLOCK_SIZE * BLOCK_SIZE + y % BLOCK_SIZE) * BLOCK_SIZE + x % BLOCK_SIZE
    return block + x // BLOCK_SIZE, coefficient, (y < sides[1]) & (x < sides[2])


def _by_position(index: jax.Array, length: int) -> jax.Array:
    """Order coefficients of a tile by their positions in blocks: blocks are next to each other in memory."""
    n_blocks, place = length // BLOCK_SIZE, index % length
    return index - place + place % n_blocks * BLOCK_SIZE + place // n_blocks


def _load_plane(planes: Any, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    return load_tile(planes, y, x, z)


def _store_plane(planes: Any, z: jax.Array, y: jax.Array, x: jax.Array, values: jax.Array) -> None:
    _store_inside(planes, values, z, y[:, None], x[None])


def _store_blocks(
    sides: Shape3,
    rule: EnergyRule,
    store: Callable[..., None],
    memory: Any,
    z: jax.Array,
    y: jax.Array,
    x: jax.Array,
    values: jax.Array,
) -> None:
    """Store a tile of coefficients, ordered by their positions in blocks, and the sums of their energies."""
    *blocks, energies = memory
    block, coefficient, exists = locate_coefficients(sides, z, y, x)
    store(blocks, (coefficient, block), values, exists)
    energy = jnp.where(exists & (coefficient > 0), rule.energies(values), 0)
    # The sum over one axis after the other: Triton's language knows no others.
    energy = jnp.sum(energy.reshape(BLOCK_SIZE, -1, len(x)), axis=0)
    energy = jnp.sum(energy.reshape(len(energy), BLOCK_SIZE, -1), axis=1)
    rows, columns = (jnp.min((index // BLOCK_SIZE).reshape(BLOCK_SIZE, -1), axis=0) for index in (y, x))
    _store_inside(energies, energy, z, rows[:, None], columns[None])


def _load_columns(source: Any, z: jax.Array, column: jax.Array) -> jax.Array:
    return load_tile(source[0], z, column)


def _load_centered(width: int, source: Any, z: jax.Array, column: jax.Array) -> jax.Array:
    """Load voxels, scaled to [−½, ½]; those beyond the volume are the nearest ones in it.

    ``column`` counts the columns of an array that is ``width`` voxels wide.
    """
    volume, limits = source
    last_z, last_y, last_x = (side - 1 for side in volume.shape)
    y, x = jnp.minimum(column // width, last_y), jnp.minimum(column % width, last_x)
    shape = (len(z), len(column))
    places = (jnp.minimum(z, last_z)[:, None], y[None], x[None])
    index = [jnp.broadcast_to(place, shape) for place in places]
    voxels = load_where(volume, index, jnp.ones(shape, bool))
    return voxels if limits is None else normalize(voxels, limits[0][0], limits[1][0]) - 0.5


def _store_columns(references: Any, z: jax.Array, column: jax.Array, values: jax.Array) -> None:
    _store_inside(references[1], values, z[:, None], column[None])


def _store_voxels(
    width: int, is_float: bool, references: Any, z: jax.Array, column: jax.Array, values: jax.Array
) -> None:
    """Store voxels in their range, if that needs no rounding; ``column`` as in ``_load_centered``."""
    (_, limits), volume = references
    values = values + 0.5
    values = denormalize(values, limits[0], limits[1], volume.dtype) if is_float else values
    _store_inside(volume, values, z[:, None], (column // width)[None], (column % width)[None])


def _store_inside(memory: Any, values: jax.Array, *places: jax.Array) -> None:
    """Store a tile, but for what lies outside of an array; places of all axes are broadcast."""
    index = [jnp.broadcast_to(place, values.shape) for place in places]
    is_inside = jnp.ones(values.shape, bool)
    for number, side in zip(index, memory.shape, strict=True):
        is_inside &= number < side
    store_where(memory, index, values, is_inside)
