"""Native kernels of the separable transform; ``separable`` has their specification.

The matrix of an axis is made, and taken, by its factors. Rows of the DCT are symmetric about the middle of
their segment, so the kernels add and subtract mirrored voxels first, and multiply by a half, a quarter, … of
the matrix.
Results differ from the specification's by roundings alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.native.dispatch import call
from nvc_jax.transform.axis_transform import AxisTransform, Factors, quarter_cosines
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.boundary_emphasis import SQUARED_ERROR_WEIGHTS, corner_matrices
from nvc_jax.transform.lapped_filter import border_matrices


def axis_constants() -> list[jax.Array]:
    """List what kernels need to make the factors of any axis: cosines, filters and emphasis."""
    weights = np.array(SQUARED_ERROR_WEIGHTS, np.float32)
    return [jnp.asarray(part) for part in (quarter_cosines(), *border_matrices(), corner_matrices(), weights)]


def make_axes(
    shape: Shape3, valid_shape: jax.Array, lengths: jax.Array, filters: jax.Array, boundaries: jax.Array
) -> list[AxisTransform]:
    """Compute the transforms of the three axes; arguments as of ``separable.make_axis_transforms``."""

    def describe(side: int) -> AxisTransform:
        leaf: Callable[..., Any] = jax.ShapeDtypeStruct
        n = side // BLOCK_SIZE
        borders, dct = leaf((n + 1, BLOCK_SIZE, BLOCK_SIZE), jnp.float32), leaf((side, side), jnp.float32)
        factors = Factors(borders, dct)
        return AxisTransform(factors, factors, leaf((n,), jnp.bool_), leaf((n,), jnp.int32))

    described = [describe(side) for side in shape]
    arguments = (valid_shape, lengths, filters, boundaries, *axis_constants())
    leaves = call("nvc_make_axes", jax.tree.leaves(described), *arguments)
    return jax.tree.unflatten(jax.tree.structure(described), leaves)


def center(volume: jax.Array, minimum: jax.Array, scale: jax.Array) -> jax.Array:
    """Scale a volume, float32 (z, y, x), to [−½, ½], and pad its sides to multiples of 8.

    Args:
        volume: of any finite or other values.
        minimum: float32, value that becomes −½.
        scale: float32, from ``normalization_scale``.
    """
    sides = [side + -side % BLOCK_SIZE for side in volume.shape]
    return call("nvc_center", jax.ShapeDtypeStruct(tuple(sides), jnp.float32), volume, minimum, scale)


def analyze(volume: jax.Array, axes: list[Factors], scale: jax.Array) -> jax.Array:
    """Compute the coefficients of a volume, float32 (blocks, 512), by the factors of each axis's analysis.

    Args:
        volume: float32 (z, y, x).
        axes: the factors.
        scale: float32, of the coefficients.
    """
    blocks = jax.ShapeDtypeStruct((volume.size // N_COEFFICIENTS, N_COEFFICIENTS), jnp.float32)
    return call("nvc_analyze", blocks, volume, scale, *jax.tree.leaves(axes))


def synthesize(
    blocks: jax.Array, axes: list[Factors], limits: tuple[jax.Array, jax.Array] | None = None
) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from its coefficients.

    Args:
        blocks: float32 (blocks, 512).
        axes: factors of each axis's synthesis.
        limits: minimum and maximum, float32, to which voxels from −½ to ½ are mapped, if they are.
    """
    sides = [len(axis.dct) for axis in axes]
    volume = jax.ShapeDtypeStruct(tuple(sides), jnp.float32)
    minimum, maximum = limits or (jnp.float32(0), jnp.float32(0))
    arguments = (blocks, minimum, maximum, *jax.tree.leaves(axes))
    return call("nvc_synthesize", volume, *arguments, to_range=limits is not None)
