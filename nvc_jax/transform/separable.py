"""Separable lapped transform: one matrix for each axis of a volume.

The matrix of an axis combines the emphasis at chunk boundaries, the lapped filter at the borders of segments,
the DCT of each segment, and the order of coefficients in blocks. So the transform is three matrix products,
whatever the lengths of segments, and works the same on every device.

Each axis has its own length of segments and its own filter: together the *shape* of the transform.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import map_in_turn
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.transform import native_separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, from_blocks, to_blocks
from nvc_jax.transform.boundary_emphasis import emphasis, squared_error_weights
from nvc_jax.transform.lapped_filter import REACH, border_matrices
from nvc_jax.transform.segments import MAX_LENGTH, Segments, divide_axis


class TransformShape(NamedTuple):
    """Shape of a transform.

    Attributes:
        lengths: int32 (3,), index of ``segments.SEGMENT_LENGTHS`` for each axis.
        filters: int32 (3,), index of ``lapped_filter.FILTERS`` for each axis.
    """

    lengths: jax.Array
    filters: jax.Array


class AxisTransform(NamedTuple):
    """Transform of one axis of n voxels.

    Attributes:
        analysis: float32 (n, n), from voxels to coefficients.
        synthesis: float32 (n, n), its inverse on the voxels that count.
        is_dc: bool (n / 8,), whether a block's first coefficient is the frequency 0 of a segment.
        previous_dc: int32 (n / 8,), the block before with a frequency 0, of blocks that have one; −1 if none.
    """

    analysis: jax.Array
    synthesis: jax.Array
    is_dc: jax.Array
    previous_dc: jax.Array


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

    def make(side: int, axis: jax.Array | int) -> AxisTransform:
        length, filter_index = transform.lengths[axis], transform.filters[axis]
        return make_axis_transform(side, valid_shape[axis], length, filter_index, boundaries, axis)

    if len(set(shape)) > 1:
        return [make(side, axis) for axis, side in enumerate(shape)]
    # One loop for all axes: it compiles in a third of the time.
    stacked = map_in_turn(lambda axis: make(shape[0], axis), jnp.arange(3, dtype=jnp.int32))
    return [AxisTransform(*(leaf[axis] for leaf in stacked)) for axis in range(3)]


def make_axis_transform(
    side: int,
    valid: jax.Array,
    length_index: jax.Array,
    filter_index: jax.Array,
    boundaries: jax.Array | None = None,
    axis: jax.Array | int = 0,
) -> AxisTransform:
    """Compute the transform of one axis.

    Arguments are those of ``make_axis_transforms``; without ``boundaries`` ``axis`` does not matter.
    """
    segments = divide_axis(side, valid, length_index)
    dct, is_mean = _dct_of_segments(segments)
    filtering, unfiltering = _filters_of_borders(
        segments, [jnp.asarray(matrices)[filter_index] for matrices in border_matrices()]
    )
    weights = jnp.ones((1, 1), jnp.float32)
    if boundaries is not None:
        emphasizing, deemphasizing = emphasis(side, boundaries, axis)
        filtering, unfiltering = _product(filtering, emphasizing), _product(deemphasizing, unfiltering)
        weights = squared_error_weights(side, boundaries, axis)[:, None]
    analysis, synthesis = _product(dct, filtering), _product(unfiltering, dct.T)

    # An error of 1 in a scaled coefficient adds about 1 to the squared error of the volume. Means are scaled
    # alike next to a boundary and elsewhere: they are predicted from each other.
    weights = jnp.where(is_mean[None], 1, weights)
    norms = jnp.sqrt(jnp.sum(weights * synthesis**2, axis=0))
    norms = jnp.where(norms > 0, norms, 1)
    is_dc = is_mean[::BLOCK_SIZE] & (jnp.arange(side // BLOCK_SIZE) * BLOCK_SIZE < valid)
    return AxisTransform(analysis * norms[:, None], synthesis / norms[None], is_dc, _previous(is_dc))


def forward(volume: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
    """Compute the coefficients of a volume.

    Args:
        volume: float32 (z, y, x), sides multiples of 8; voxels that do not count may be anything finite.
        transforms: of the three axes.

    Returns:
        float32 (blocks, 512), blocks and the coefficients of each in z, y, x order.
    """

    def reference(volume: jax.Array, *matrices: jax.Array) -> jax.Array:
        return to_blocks(apply_matrices(volume, matrices))

    matrices = [transform.analysis for transform in transforms]
    return on_cpu(native_separable.analyze, reference, volume, *matrices)


def inverse(coefficients: jax.Array, transforms: list[AxisTransform]) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from its coefficients; 0 where voxels do not count."""
    sides = check_shape(tuple(len(transform.analysis) for transform in transforms))

    def reference(coefficients: jax.Array, *matrices: jax.Array) -> jax.Array:
        return apply_matrices(from_blocks(coefficients, grid_shape(sides, BLOCK_SIZE)), matrices)

    matrices = [transform.synthesis for transform in transforms]
    return on_cpu(native_separable.synthesize, reference, coefficients, *matrices)


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
    z, y, x = matrices
    volume = jnp.einsum("ij,jyx->iyx", z, volume, precision=lax.Precision.HIGHEST)
    volume = jnp.einsum("ij,zjx->zix", y, volume, precision=lax.Precision.HIGHEST)
    return jnp.einsum("ij,zyj->zyi", x, volume, precision=lax.Precision.HIGHEST)


def _dct_of_segments(segments: Segments) -> tuple[jax.Array, jax.Array]:
    """Compute the matrix of the DCTs of all segments, rows in the order of coefficients.

    Returns:
        float32 (side, side), and bool (side,), whether a coefficient has the frequency 0.
    """
    side = len(segments.frequency)
    index = np.arange(side, dtype=np.int32)
    frequency, length = segments.frequency[:, None], segments.coefficient_length[:, None]
    offset = index[None] - segments.coefficient_start[:, None]
    exists = (index[:, None] < segments.valid) & (offset >= 0) & (offset < length)

    # cos(π·k/(2·length)) by its quarter period.
    phase = _remainder(jnp.where(exists, (2 * offset + 1) * frequency, 0), 4 * jnp.maximum(length, 1))
    phase = jnp.minimum(phase, 4 * length - phase)
    is_negative = phase > length
    phase = jnp.where(is_negative, 2 * length - phase, phase)
    cosines = jnp.asarray(_quarter_cosines())
    entry = jnp.minimum(length, MAX_LENGTH) * (MAX_LENGTH + 1) + jnp.minimum(phase, MAX_LENGTH)
    cosine = cosines.at[entry].get(mode="clip")
    cosine = jnp.where(is_negative, -cosine, cosine)

    is_mean = segments.frequency == 0
    scale = jnp.sqrt(jnp.where(is_mean[:, None], 1, 2).astype(jnp.float32) / length.astype(jnp.float32))
    return jnp.where(exists, cosine * scale, 0), is_mean


def _remainder(numbers: jax.Array, divisors: jax.Array) -> jax.Array:
    """Compute remainders of int32 below 2**24: by float32, which is exact there and faster than integers."""
    a, b = numbers.astype(jnp.float32), divisors.astype(jnp.float32)
    return (a - jnp.floor(a / b) * b).astype(jnp.int32)


@functools.cache
def _quarter_cosines() -> np.ndarray:
    """Compute cos(π/2 · k / length) for k up to the length: float32, by length and k, flat."""
    length, k = np.ogrid[: MAX_LENGTH + 1, : MAX_LENGTH + 1]
    return np.cos(np.pi / 2 * np.minimum(k / np.maximum(length, 1), 1)).astype(np.float32).reshape(-1)


def _filters_of_borders(segments: Segments, matrices: list[jax.Array]) -> list[jax.Array]:
    """Compute, for each of ``matrices``, (8, 8), the matrix that multiplies it at all borders of segments."""
    side = len(segments.start)
    voxel = np.arange(side, dtype=np.int32)
    end = segments.start + segments.length
    follows = (voxel - segments.start < REACH) & (segments.start > 0)
    precedes = (end - voxel <= REACH) & ~segments.is_last
    border = jnp.where(follows, segments.start, jnp.where(precedes, end, -1))
    position = jnp.clip(voxel - border + REACH, 0, 2 * REACH - 1)
    border = jnp.where(voxel < segments.valid, border, -1)

    column = voxel[None] - (border - REACH)[:, None]
    is_mixed = (border >= 0)[:, None] & (column >= 0) & (column < 2 * REACH) & (voxel < segments.valid)[None]
    index = position[:, None] * (2 * REACH) + jnp.where(is_mixed, column, 0)
    identity = jnp.eye(side, dtype=jnp.float32)
    return [
        jnp.where(is_mixed, matrix.reshape(-1).at[index].get(mode="clip"), identity) for matrix in matrices
    ]


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiply matrices in full float32."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _previous(is_marked: jax.Array) -> jax.Array:
    """Find, for each entry, the index of the marked entry before it: int32, −1 if there is none."""
    index = jnp.where(is_marked, jnp.arange(len(is_marked), dtype=jnp.int32), -1)
    return jnp.pad(lax.cummax(index), (1, 0), constant_values=-1)[:-1]
