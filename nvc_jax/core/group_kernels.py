"""Kernels of GPUs: Pallas, by its Triton backend, one program for each group of lanes or each tile.

The program of a group runs on one warp: the lanes of a group are its threads. That of a tile, a part of a
matrix, runs on several. The arguments of a kernel are references to memory, whole arrays each, and indices
are computed by the kernel. ``jax.vmap`` adds an axis of programs, so that the groups of many chunks run side
by side.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

GROUP_LANES = 32
"""Lanes of a group: threads of a warp, and bits of a 32-bit word."""


@functools.cache
def has_group_kernels() -> bool:
    """Tell whether this release of JAX has the backend."""
    return importlib.util.find_spec("jax.experimental.pallas.triton") is not None


def run_groups(
    kernel: Callable[..., None], n_groups: int, results: Any, *arguments: Any, interpret: bool = False
) -> Any:
    """Run a kernel once for each group.

    Args:
        kernel: takes trees of references, first the arguments and then the results, and writes the results.
            What it does not write is arbitrary.
        n_groups: number of programs.
        results: list of ``jax.ShapeDtypeStruct``.
        *arguments: trees of arrays.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        The results.
    """
    return run_tiles(kernel, (n_groups,), results, *arguments, n_warps=1, n_stages=1, interpret=interpret)


def run_tiles(
    kernel: Callable[..., None],
    grid: tuple[int, ...],
    results: Any,
    *arguments: Any,
    n_warps: int,
    n_stages: int = 2,
    interpret: bool = False,
) -> Any:
    """Run a kernel once for each tile, whose place in ``grid`` is ``this_tile``; see ``run_groups``.

    Args:
        kernel: of one tile.
        grid: number of tiles along each axis.
        results: tree of ``jax.ShapeDtypeStruct``.
        *arguments: trees of arrays.
        n_warps: warps of a program.
        n_stages: steps of a loop whose loads may overlap.
        interpret: run the kernel by ``jax.numpy``.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    return pallas.pallas_call(
        kernel,
        out_shape=results,
        grid=grid,
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=n_warps, num_stages=n_stages),
    )(*arguments)


def this_group() -> jax.Array:
    """Get the number of the group that a kernel runs, int32."""
    return this_tile(1)[0]


def this_tile(n_axes: int) -> tuple[jax.Array, ...]:
    """Get the place in the grid of the tile that a kernel runs, int32 each."""
    from jax.experimental import pallas

    return tuple(pallas.program_id(axis) for axis in range(n_axes))


def wait_for_group() -> None:
    """Make all lanes of a kernel wait until what they have written can be read by the others."""
    from jax.experimental.pallas import triton

    triton.debug_barrier()


def tile_indices(tile: jax.Array | int, length: int) -> jax.Array:
    """Get the indices of a tile along an axis, int32 (length,)."""
    return tile * length + lax.iota(jnp.int32, length)


def tile_side(side: int, largest: int) -> int:
    """Get the side of tiles along an axis of ``side`` entries: a power of two from 16 to ``largest``."""
    return max(16, min(largest, 1 << (side - 1).bit_length()))


def multiply_tiles(
    left: jax.Array, right: jax.Array, *, transposes_left: bool = False, transposes_right: bool = False
) -> jax.Array:
    """Multiply tiles within a kernel: all digits of float32 or bfloat16 count.

    Args:
        left: (n, k), or (k, n) if it is to be transposed.
        right: (k, m), or (m, k) if it is to be transposed.
        transposes_left: whether to transpose ``left``; static.
        transposes_right: whether to transpose ``right``; static.

    Returns:
        float32 (n, m).
    """
    from jax.experimental.pallas import triton

    return triton.dot(left, right, trans_a=transposes_left, trans_b=transposes_right, allow_tf32=False)


def load_tile(memory: Any, rows: jax.Array, columns: jax.Array, *before: jax.Array) -> jax.Array:
    """Read a tile of a matrix within a kernel, (rows, columns); 0 outside of the matrix.

    Args:
        memory: reference to an array.
        rows: int32 (n,), indices along the second axis from the end.
        columns: int32 (m,), indices along the last axis.
        *before: int32, index along each axis before these.
    """
    shape = (len(rows), len(columns))
    index = [jnp.broadcast_to(number, shape) for number in (*before, rows[:, None], columns[None])]
    return load_where(memory, index, jnp.ones(shape, bool))


def load_where(memory: Any, index: Sequence[jax.Array], mask: jax.Array) -> jax.Array:
    """Read entries within a kernel: those of lanes in ``mask`` whose indices exist; 0 in other lanes.

    Args:
        memory: reference to an array.
        index: int32 (lanes,), for each axis of the array.
        mask: bool (lanes,). Lanes may be a tile: arrays of two axes.
    """
    from jax.experimental.pallas import triton

    for number, size in zip(index, memory.shape, strict=True):
        mask &= (number >= 0) & (number < size)
    places = tuple(jnp.where(mask, number, 0) for number in index)
    return triton.load(memory.at[places], mask=mask, other=jnp.zeros((), memory.dtype))


def store_where(memory: Any, index: Sequence[jax.Array], values: jax.Array, mask: jax.Array) -> None:
    """Write entries within a kernel: those of lanes in ``mask``; see ``load_where``."""
    from jax.experimental.pallas import triton

    # Interpreted, a lane that is not in the mask writes back what it read, and must not meet another lane.
    places = tuple(jnp.where(mask, number, size) for number, size in zip(index, memory.shape, strict=True))
    triton.store(memory.at[places], values.astype(memory.dtype), mask=mask)
