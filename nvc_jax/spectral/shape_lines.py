"""Lines of a volume along an axis, by which the transform of the axis is decided.

They come from columns of the volume (see ``shape_columns``), transformed along the other axes. Some of them
are drawn, the likelier the more they cost.
"""

import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_columns
from nvc_jax.spectral.column_places import PlacedColumns
from nvc_jax.spectral.line_costs import line_costs, mark_dc
from nvc_jax.spectral.shape_columns import Columns, count_drawn_lines
from nvc_jax.transform.axis_transform import make_axis_transform


class Lines(NamedTuple):
    """Lines along an axis of columns that are transformed along the other axes: all, or some that are drawn.

    Attributes:
        values: float32 (n, side).
        are_means: bool (n,), lines of means along the other axes.
        weights: float32 (n,), the number of lines of the volume that each represents.
    """

    values: jax.Array
    are_means: jax.Array
    weights: jax.Array


class Candidates(NamedTuple):
    """Lengths and filters from which the transform of an axis is chosen.

    Attributes:
        lengths: int32 (L,), of SEGMENT_LENGTHS.
        filters: int32 (F,), of FILTERS.
    """

    lengths: Any
    filters: Any


class Transforms(NamedTuple):
    """Transforms of axes of ``side`` voxels; all arrays may have axes in front.

    Attributes:
        analysis: float32 (side, side), matrices from voxels to coefficients.
        is_dc: bool (side,), coefficients that are DC of lines of means along the other axes.
    """

    analysis: jax.Array
    is_dc: jax.Array


def make_table(side: int, candidates: Candidates, valid: jax.Array) -> Transforms:
    """Compute all transforms of an axis: arrays (L, F, …), but (L, …) of what does not depend on filters.

    Args:
        side: voxels of the axis, padding included; static.
        candidates: lengths and filters.
        valid: int32, voxels of the axis that lie in the volume.
    """

    def make(length: jax.Array, filter_index: jax.Array) -> tuple[jax.Array, jax.Array]:
        made = make_axis_transform(side, valid, length, filter_index)
        return made.analysis, mark_dc(made.is_dc)

    of_length = jax.vmap(make, (None, 0), (0, None))
    return Transforms(*jax.vmap(of_length, (0, None))(*candidates))


@functools.lru_cache(maxsize=16)
def table_of_columns(side: int, lengths: tuple[int, ...], filters: tuple[int, ...]) -> Transforms:
    """Compute all transforms of columns along an axis that they do not span: a constant of programs.

    Args:
        side: of the columns, padding included.
        lengths: indices of SEGMENT_LENGTHS.
        filters: indices of FILTERS.

    Returns:
        NumPy's arrays (side, L, …) as of ``make_table``, by the number of voxels in the volume, from 1 on.
    """
    candidates = Candidates(np.array(lengths, np.int32), np.array(filters, np.int32))
    valid = np.arange(1, side + 1, dtype=np.int32)
    with jax.ensure_compile_time_eval():
        table = jax.jit(jax.vmap(partial(make_table, side, candidates)))(valid)
        return jax.tree.map(np.asarray, table)


class TablePlace(NamedTuple):
    """Place of a transform in the tables of axes, of the first length.

    Attributes:
        axis: int32.
        filter: int32.
    """

    axis: jax.Array
    filter: jax.Array


def transform_columns(
    columns: Columns,
    tables: list[Transforms],
    choice: jax.Array,
    axis: jax.Array,
    table: Transforms,
    place: TablePlace,
    step: jax.Array,
) -> tuple[Lines, jax.Array]:
    """Transform the columns of an axis along the other axes, and estimate the costs of the lines.

    Args:
        columns: of the axis; voxels that are an array have an axis for those of some axes in front.
        tables: two, from ``table_of_columns``.
        choice: int32 (2, 3), indices of the candidates' lengths and filters, for each axis.
        axis: int32.
        table: of transforms along the axis.
        place: of the transform with which lines cost what they do; of the axis among those of voxels as well.
        step: float32, of one quantiser, in the volume's units.

    Returns:
        Lines of all columns, and their costs, float32 (n,).
    """
    n, _, a, b = columns.voxels.shape[-4:]
    weights = jnp.broadcast_to(columns.weights[:, None], (n, a * b)).reshape(-1)
    arguments = (columns.voxels, columns.valid_shapes, tables, choice, axis, table, place, step)
    # Only GPUs draw columns by their places.
    gpu = group_columns.transform_columns if isinstance(columns.voxels, PlacedColumns) else None
    values, are_means, costs = on_cpu(transform_reference, transform_reference, *arguments, gpu=gpu)
    return Lines(values, are_means, weights), costs


def transform_reference(
    voxels: jax.Array | PlacedColumns,
    valid_shapes: jax.Array,
    tables: list[Transforms],
    choice: jax.Array,
    axis: jax.Array,
    table: Transforms,
    place: TablePlace,
    step: jax.Array,
) -> list[jax.Array]:
    """Transform columns in ``jax.numpy``: the specification of ``group_columns.transform_columns``.

    Args:
        voxels: of ``Columns``, with an axis in front if they are an array.
        valid_shapes: of these.
        tables: two.
        choice: int32 (2, 3).
        axis: int32.
        table: of transforms along the axis.
        place: of a transform.
        step: float32.

    Returns:
        Values and means of ``Lines``, and float32 (n,), the costs of the lines.
    """
    others = jnp.array([(1, 2), (0, 2), (0, 1)], jnp.int32)[axis]
    (first, first_dc), (second, second_dc) = (
        (analysis[valid - 1, *choice[:, other]], is_dc[valid - 1, choice[0, other]])
        for valid, other, (analysis, is_dc) in zip(valid_shapes[:, 1:].T, others, tables, strict=True)
    )
    are_means = (first_dc[:, :, None] & second_dc[:, None]).reshape(-1)
    of_axis = voxels.take() if isinstance(voxels, PlacedColumns) else voxels[place.axis]
    # The last axis first, and its result in front: no product needs a transposition.
    values = jnp.einsum("njx,nsyx->njsy", second, of_axis, precision=lax.Precision.HIGHEST)
    values = jnp.einsum("niy,njsy->nijs", first, values, precision=lax.Precision.HIGHEST)
    values = values.reshape(-1, values.shape[-1])
    analysis, is_dc = table.analysis[place.axis, 0, place.filter], table.is_dc[place.axis, 0]
    return [values, are_means, line_costs(values, analysis, is_dc, step, are_means)]


def draw_lines(lines: Lines, costs: jax.Array) -> Lines:
    """Draw lines, the likelier the more they cost, of all columns; both from ``transform_columns``."""
    costs = lines.weights * costs
    drawn, weights = draw_systematic(costs, lines.weights > 0, count_drawn_lines(len(costs)))
    return Lines(lines.values[drawn], lines.are_means[drawn], lines.weights[drawn] * weights)


def total_costs(lines: Lines, table: Transforms, place: tuple[Any, Any, Any], step: jax.Array) -> jax.Array:
    """Estimate the cost of a volume's lines with some transforms, from drawn lines.

    Args:
        lines: that are drawn.
        table: of transforms.
        place: axis, length and filter of the transforms in the table, int32: one of the last two has an axis.
        step: float32, of one quantiser, in the volume's units.

    Returns:
        float32, for each transform.
    """
    analysis, is_dc = table.analysis[place], table.is_dc[place[:2]]
    is_dc = jnp.broadcast_to(is_dc, analysis.shape[:-1])
    of_each = jax.vmap(line_costs, (None, 0, 0, None, None))
    return jnp.sum(
        lines.weights[None] * of_each(lines.values, analysis, is_dc, step, lines.are_means), axis=1
    )
