"""Lines of a volume along an axis, by which the transform of the axis is decided.

They come from columns of the volume (see ``shape_columns``), transformed along the other axes. Some of them
are drawn, the likelier the more they cost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import map_in_turn
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.spectral.line_costs import line_costs
from nvc_jax.spectral.shape_columns import Columns, count_drawn_lines
from nvc_jax.transform.axis_transform import make_axis_transform
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.separable import TransformShape


class Lines(NamedTuple):
    """Lines along an axis of columns that are transformed along the other axes.

    Attributes:
        values: float32 (side, n).
        are_means: bool (n,), lines of means along the other axes.
    """

    values: jax.Array
    are_means: jax.Array


def draw_lines(
    lines: Lines,
    weights: jax.Array,
    step: jax.Array,
    valid: jax.Array,
    length: jax.Array,
    filter_index: jax.Array,
) -> tuple[Lines, jax.Array]:
    """Draw lines, the likelier the more they cost with the transform that the axis has so far.

    Args:
        lines: of all columns.
        weights: float32 (n,), of the lines' columns.
        step: float32, of one quantiser, in the volume's units.
        valid: int32, voxels of a line that lie in the volume.
        length: int32, of SEGMENT_LENGTHS.
        filter_index: int32, of FILTERS.

    Returns:
        Lines, and the weight of each, float32.
    """
    n = count_drawn_lines(len(weights))
    costs = weights * costs_of_lines(lines, step, valid, length, filter_index)
    drawn, weights_of_drawn = draw_systematic(costs, weights > 0, n)
    return Lines(lines.values[:, drawn], lines.are_means[drawn]), weights[drawn] * weights_of_drawn


def costs_of_lines(
    lines: Lines, step: jax.Array, valid: jax.Array, length: jax.Array, filter_index: jax.Array
) -> jax.Array:
    """Estimate the cost of each line, float32 (n,), with one transform."""
    transform = make_axis_transform(len(lines.values), valid, length, filter_index)
    return line_costs(lines.values, transform, step, lines.are_means)


def transform_other_axes(columns: Columns, shape: TransformShape, axis: jax.Array) -> Lines:
    """Transform columns along all axes but their own."""
    others = jnp.array([(1, 2), (0, 2), (0, 1)], jnp.int32)[axis]
    lengths, filters = shape.lengths[others], shape.filters[others]

    def transform(voxels: jax.Array, valid_shape: jax.Array) -> tuple[jax.Array, jax.Array]:
        def make(side: int, k: jax.Array | int) -> tuple[jax.Array, jax.Array]:
            made = make_axis_transform(side, valid_shape[1 + k], lengths[k], filters[k])
            return made.analysis, jnp.zeros(side, bool).at[::BLOCK_SIZE].set(made.is_dc)

        sides = voxels.shape[1:]
        if sides[0] == sides[1]:
            (first, second), (is_mean, is_mean_too) = map_in_turn(
                lambda k: make(sides[0], k), jnp.arange(2, dtype=jnp.int32)
            )
        else:
            (first, is_mean), (second, is_mean_too) = (make(side, k) for k, side in enumerate(sides))
        voxels = jnp.einsum("ij,sjx->six", first, voxels, precision=lax.Precision.HIGHEST)
        voxels = jnp.einsum("ij,syj->syi", second, voxels, precision=lax.Precision.HIGHEST)
        return voxels.reshape(len(voxels), -1), (is_mean[:, None] & is_mean_too[None]).reshape(-1)

    rows, are_means = jax.vmap(transform)(columns.voxels, columns.valid_shapes)
    return Lines(rows.transpose(1, 0, 2).reshape(rows.shape[1], -1), are_means.reshape(-1))
