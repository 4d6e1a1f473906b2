"""Kernels of GPUs: Pallas, by its Triton backend, one program for each group of lanes.

A program runs on one warp: the lanes of a group are its threads. The arguments of a kernel are references to
memory, whole arrays each, and indices are computed by the kernel. ``jax.vmap`` adds an axis of programs, so
that the groups of many chunks run side by side.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

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
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    return pallas.pallas_call(
        kernel,
        out_shape=results,
        grid=(n_groups,),
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=1, num_stages=1),
    )(*arguments)


def this_group() -> jax.Array:
    """Get the number of the group that a kernel runs, int32."""
    from jax.experimental import pallas

    return pallas.program_id(0)


def load_where(memory: Any, index: Sequence[jax.Array], mask: jax.Array) -> jax.Array:
    """Read entries within a kernel: those of lanes in ``mask`` whose indices exist; 0 in other lanes.

    Args:
        memory: reference to an array.
        index: int32 (lanes,), for each axis of the array.
        mask: bool (lanes,).
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
