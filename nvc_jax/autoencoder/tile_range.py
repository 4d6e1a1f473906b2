"""Kernel of TPUs that finds the range of a volume; its specification is ``core.normalization.finite_range``.

XLA's reduction takes two and a half times as long as memory to read the volume.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.core.normalization import finite_range
from nvc_jax.core.platforms import Forms, choose_form, may_use_tpu_kernels
from nvc_jax.core.shapes import check_shape

PROGRAM_BYTES = 1 << 21
"""Bytes of planes that a program reads, about."""
LARGEST_PLANE = 1 << 18
"""Largest number of voxels of a plane: a few programs' planes are in a core's own memory at a time."""


def finite_range_by_platform(volume: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Get the smallest and largest finite value of a volume: float32 scalars, those of ``finite_range``."""
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    by_platform = Forms(finite_range, finite_range, finite_range, _in_tiles)
    minimum, maximum = choose_form(by_platform, (scalar, scalar), volume)
    return minimum, maximum


def _in_tiles(volume: jax.Array) -> tuple[jax.Array, jax.Array]:
    is_small = math.prod(volume.shape[1:]) <= LARGEST_PLANE
    if volume.dtype == jnp.float32 and is_small and may_use_tpu_kernels():
        return find_range(volume)
    return finite_range(volume)


def find_range(volume: jax.Array, *, interpret: bool = False) -> tuple[jax.Array, jax.Array]:
    """Find the range of a volume (z, y, x), float32.

    ``interpret`` runs the kernel by ``jax.numpy``, on any device, for tests.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    depth, *plane = check_shape(volume.shape)
    wanted = max(1, PROGRAM_BYTES // (4 * math.prod(plane)))
    n_planes = max(n for n in range(1, min(wanted, depth) + 1) if depth % n == 0)
    result = jax.ShapeDtypeStruct(tuple(plane), jnp.float32)
    smallest, largest = pallas.pallas_call(
        _reduce_planes,
        grid=(depth // n_planes,),
        in_specs=[pallas.BlockSpec((n_planes, *plane), lambda z: (z, 0, 0))],
        out_specs=[pallas.BlockSpec(tuple(plane), lambda z: (0, 0))] * 2,
        out_shape=[result, result],
        compiler_params=tpu.CompilerParams(dimension_semantics=("arbitrary",)),
        interpret=interpret,
    )(volume)
    minimum, maximum = smallest.min(), largest.max()
    is_empty = minimum > maximum
    return jnp.where(is_empty, 0.0, minimum), jnp.where(is_empty, 0.0, maximum)


def _reduce_planes(volume: Any, smallest: Any, largest: Any) -> None:
    """Take planes into the smallest and largest finite values at each place of a plane."""
    from jax.experimental import pallas

    @pallas.when(pallas.program_id(0) == 0)
    def _begin() -> None:
        smallest[...] = jnp.full(smallest.shape, jnp.inf, jnp.float32)
        largest[...] = jnp.full(largest.shape, -jnp.inf, jnp.float32)

    values = volume[...]
    is_finite = jnp.abs(values) < jnp.inf
    smallest[...] = jnp.minimum(smallest[...], jnp.where(is_finite, values, jnp.inf).min(axis=0))
    largest[...] = jnp.maximum(largest[...], jnp.where(is_finite, values, -jnp.inf).max(axis=0))
