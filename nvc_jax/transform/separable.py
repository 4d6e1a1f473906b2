"""Separable lapped transform: one matrix for each axis of a volume.

The matrix of an axis combines the emphasis at chunk boundaries, the lapped filter at the borders of segments,
the DCT of each segment, and the order of coefficients in blocks. So the transform is three matrix products,
whatever the lengths of segments, and works the same on every device.

Each axis has its own length of segments and its own filter: together the *shape* of the transform.
"""

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import map_in_turn
from nvc_jax.core.normalization import denormalize, normalization_scale, normalize
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.transform import group_separable, native_separable
from nvc_jax.transform.axis_transform import AxisTransform, make_axis_transform, scaled_matrices
from nvc_jax.transform.block_layout import BLOCK_SIZE, from_blocks, to_blocks
from nvc_jax.transform.group_separable import EnergyRule


class TransformShape(NamedTuple):
    """Shape of a transform.

    Attributes:
        lengths: int32 (3,), index of ``segments.SEGMENT_LENGTHS`` for each axis.
        filters: int32 (3,), index of ``lapped_filter.FILTERS`` for each axis.
    """

    lengths: jax.Array
    filters: jax.Array


class Original(NamedTuple):
    """A volume before it is scaled to [−½, ½] and padded to multiples of 8 with its last voxels.

    Attributes:
        volume: (z, y, x), a device dtype.
        minimum: float32, value that becomes −½.
        maximum: float32, value that becomes ½.
    """

    volume: jax.Array
    minimum: jax.Array
    maximum: jax.Array

    def scaled(self, values: jax.Array) -> jax.Array:
        """Scale some of the volume's values to [−½, ½], float32.

        They are centred at 0, so that float32 loses the fewest digits.
        """
        return normalize(values, self.minimum, self.maximum) - 0.5

    def padded(self) -> jax.Array:
        """Scale the volume, and pad its sides to multiples of 8."""
        if self.volume.dtype != jnp.float32:
            return self.padded_reference()
        centered: jax.Array = on_cpu(_center_by_kernel, Original.padded_reference, self)
        return centered

    def padded_reference(self) -> jax.Array:
        """Scale and pad the volume: the specification of the kernel."""
        widths = [(0, -side % BLOCK_SIZE) for side in self.volume.shape]
        return jnp.pad(self.scaled(self.volume), widths, mode="edge")


def _center_by_kernel(original: Original) -> jax.Array:
    """Scale and pad a volume by the native kernel."""
    scale = normalization_scale(original.minimum, original.maximum)
    return native_separable.center(original.volume, original.minimum, scale)


def make_axis_transforms(
    shape: Shape3, valid_shape: jax.Array, transform: TransformShape, boundaries: jax.Array
) -> list[AxisTransform]:
    """Compute the transforms of the three axes.

    Args:
        shape: (z, y, x), sides multiples of 8; static.
        valid_shape: int32 (3,), voxels along z, y, x that count.
        transform: the shape of the transform.
        boundaries: int32, bits of the chunk boundaries at which errors weigh more.
    """
    kernel, reference = (partial(form, shape) for form in (native_separable.make_axes, _make_axes))
    return on_cpu(kernel, reference, valid_shape, transform.lengths, transform.filters, boundaries)


def _make_axes(
    shape: Shape3, valid_shape: jax.Array, lengths: jax.Array, filters: jax.Array, boundaries: jax.Array
) -> list[AxisTransform]:
    """Compute the transforms of the three axes in ``jax.numpy``: the specification of the kernel."""

    def make(side: int, axis: jax.Array | int) -> AxisTransform:
        return make_axis_transform(side, valid_shape[axis], lengths[axis], filters[axis], boundaries, axis)

    if len(set(shape)) > 1:
        return [make(side, axis) for axis, side in enumerate(shape)]
    # One loop for all axes: it compiles in a third of the time.
    stacked = map_in_turn(lambda axis: make(shape[0], axis), jnp.arange(3, dtype=jnp.int32))
    return [jax.tree.map(operator.itemgetter(axis), stacked) for axis in range(3)]


def forward(volume: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
    """Compute the coefficients of a volume.

    Args:
        volume: float32 (z, y, x), sides multiples of 8; voxels that do not count may be anything finite.
        transforms: of the three axes.

    Returns:
        float32 (blocks, 512), blocks and the coefficients of each in z, y, x order.
    """
    return forward_with_energies(volume, transforms, EnergyRule())[0]


def forward_with_energies(
    volume: jax.Array,
    transforms: list[AxisTransform],
    rule: EnergyRule,
    original: Original | None = None,
    scale: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Compute the coefficients of a volume, as ``forward``, and the energies of its blocks.

    Args:
        volume: float32 (z, y, x), as of ``forward``.
        transforms: of the three axes.
        rule: of energies.
        original: from which ``volume`` was made, if it was. GPUs take it, and need ``volume`` no more.
        scale: float32, of the coefficients; 1 if None.

    Returns:
        The coefficients; and float32 (blocks,), the energies of blocks without their first coefficients. They
        are 0 where CPUs run their kernel.
    """

    def reference(
        volume: jax.Array, transforms: list[AxisTransform], scale: jax.Array, _: Original | None
    ) -> tuple[jax.Array, jax.Array]:
        blocks = to_blocks(apply_matrices(volume, scaled_matrices(transforms, scale)))
        return blocks, jnp.sum(rule.energies(blocks[:, 1:]), axis=1)

    def kernel(
        volume: jax.Array, transforms: list[AxisTransform], scale: jax.Array, _: Original | None
    ) -> tuple[jax.Array, jax.Array]:
        factors = [transform.analysis_factors for transform in transforms]
        blocks = native_separable.analyze(volume, factors, scale)
        return blocks, jnp.zeros(len(blocks), jnp.float32)

    def gpu(
        volume: jax.Array, transforms: list[AxisTransform], scale: jax.Array, original: Original | None
    ) -> tuple[jax.Array, jax.Array]:
        matrices = scaled_matrices(transforms, scale)
        if original is None:
            return group_separable.forward(volume, None, matrices, rule)
        limits = (original.minimum, original.maximum)
        return group_separable.forward(original.volume, limits, matrices, rule)

    def tpu(*arguments: Any) -> jax.Array:
        # Without the barrier, XLA gives the order of this result to all that is made of it.
        return lax.optimization_barrier(reference(*arguments))

    scale = jnp.float32(1) if scale is None else scale
    return on_cpu(kernel, reference, volume, transforms, scale, original, gpu=gpu, tpu=tpu)


def first_coefficients(coefficients: jax.Array) -> jax.Array:
    """Get the first coefficient of each block, (blocks,), of those of ``forward``."""

    def reference(coefficients: jax.Array) -> jax.Array:
        return coefficients[:, 0]

    def gpu(coefficients: jax.Array) -> jax.Array:
        return coefficients.T[0]  # neighbours in memory: see ``group_separable.forward``

    return on_cpu(reference, reference, coefficients, gpu=gpu)


def inverse(coefficients: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from its coefficients; 0 where voxels do not count."""
    sides = check_shape(tuple(transform.side for transform in transforms))

    def reference(coefficients: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
        volume = from_blocks(coefficients, grid_shape(sides, BLOCK_SIZE))
        return apply_matrices(volume, [transform.synthesis for transform in transforms])

    def kernel(coefficients: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
        factors = [transform.synthesis_factors for transform in transforms]
        return native_separable.synthesize(coefficients, factors)

    return on_cpu(kernel, reference, coefficients, transforms)


def inverse_to_range(
    coefficients: jax.Array, transforms: list[AxisTransform], minimum: jax.Array, maximum: jax.Array
) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from the coefficients of a volume that was scaled to [−½, ½].

    Args:
        coefficients: of ``forward``.
        transforms: of the three axes.
        minimum: float32, the value that became −½.
        maximum: float32, the value that became ½.
    """
    Limits = tuple[jax.Array, jax.Array]

    def reference(coefficients: jax.Array, transforms: list[AxisTransform], limits: Limits) -> jax.Array:
        return denormalize(inverse(coefficients, transforms) + 0.5, *limits, jnp.float32)

    def kernel(coefficients: jax.Array, transforms: list[AxisTransform], limits: Limits) -> jax.Array:
        factors = [transform.synthesis_factors for transform in transforms]
        return native_separable.synthesize(coefficients, factors, limits)

    return on_cpu(kernel, reference, coefficients, transforms, (minimum, maximum))


def block_means(
    first_coefficients: jax.Array, transforms: list[AxisTransform], valid_shape: jax.Array
) -> jax.Array:
    """Compute the means of 8³ voxels from the first coefficient of each block alone.

    Args:
        first_coefficients: float32 (z, y, x) of the grid of blocks.
        transforms: of the three axes.
        valid_shape: int32 (3,), voxels along z, y, x that count.

    Returns:
        float32 (z, y, x) of the grid: means of the voxels that count, if all other coefficients were 0.
    """
    matrices = []
    for axis, transform in enumerate(transforms):
        columns = transform.synthesis[:, ::BLOCK_SIZE]
        sums = jnp.sum(columns.reshape(-1, BLOCK_SIZE, columns.shape[1]), axis=1)
        start = jnp.arange(len(sums), dtype=jnp.int32) * BLOCK_SIZE
        counts = jnp.clip(valid_shape[axis] - start, 1, BLOCK_SIZE)
        matrices.append(sums / counts.astype(jnp.float32)[:, None])
    return apply_matrices(first_coefficients, matrices)


def apply_matrices(volume: jax.Array, matrices: Sequence[jax.Array]) -> jax.Array:
    """Multiply one matrix along each axis of a volume (z, y, x)."""
    result = jax.ShapeDtypeStruct(tuple(map(len, matrices)), volume.dtype)
    return choose_form(Forms(_first_axis_first, _last_axis_first, _last_axis_first), result, volume, matrices)


def _first_axis_first(volume: jax.Array, matrices: Sequence[jax.Array]) -> jax.Array:
    """Multiply along z, then y, then x."""
    z, y, x = matrices
    volume = jnp.einsum("ij,jyx->iyx", z, volume, precision=lax.Precision.HIGHEST)
    volume = jnp.einsum("ij,zjx->zix", y, volume, precision=lax.Precision.HIGHEST)
    return jnp.einsum("ij,zyj->zyi", x, volume, precision=lax.Precision.HIGHEST)


def _last_axis_first(volume: jax.Array, matrices: Sequence[jax.Array]) -> jax.Array:
    """Multiply along x, then y, then z, each result's axis in front: no product needs a transposition."""
    z, y, x = matrices
    volume = jnp.einsum("kx,zyx->kzy", x, volume, precision=lax.Precision.HIGHEST)
    volume = jnp.einsum("jy,kzy->jkz", y, volume, precision=lax.Precision.HIGHEST)
    return jnp.einsum("iz,jkz->ijk", z, volume, precision=lax.Precision.HIGHEST)
