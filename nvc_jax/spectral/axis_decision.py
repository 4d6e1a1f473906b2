"""Decision about one axis of the shape: its length of segments and its filter; see ``shape_decision``."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_axis_choice
from nvc_jax.spectral.shape_columns import Columns
from nvc_jax.spectral.shape_lines import (
    Lines,
    TablePlace,
    Transforms,
    draw_lines,
    total_costs,
    transform_columns,
)
from nvc_jax.transform.segments import SEGMENT_LENGTHS


class Decided(NamedTuple):
    """Decisions so far.

    Attributes:
        choice: int32 (2, 3), indices of the candidates' lengths and filters, for each axis.
        cost: float32, of the choice.
    """

    choice: jax.Array
    cost: jax.Array


def decide_axis(
    columns: Columns,
    of_columns: list[Transforms],
    table: Transforms,
    axis_of_table: jax.Array,
    before: jax.Array,
    axis: jax.Array,
    *,
    first_filter: int,
    step: jax.Array,
    of_dc: jax.Array,
    largest_means: np.ndarray,
) -> Decided:
    """Choose the filter and then the length of one axis that cost least, the other axes as they are.

    The filters are tried with the shortest length, then the lengths with the best filter. To decide the first
    axis anew, once the others are known, saves less than 0.1 % of the bits.

    Args:
        columns: of the axis; voxels and transforms of one axis or more have an axis for these in front, but
            not voxels that are given by their places.
        of_columns: transforms of the columns along the other axes.
        table: transforms of one axis or more (see ``make_table``).
        axis_of_table: int32, of the axis among these, of voxels as well.
        before: int32 (2, 3), choice so far.
        axis: int32.
        first_filter: filter of the axis so far, by its index among candidates; static.
        step: float32, of one quantiser, in the volume's units.
        of_dc: float32 (L, L, L), from ``costs_of_dc``.
        largest_means: float32 (L,), from ``bound_means``.
    """
    place = TablePlace(axis_of_table, jnp.int32(first_filter))
    lines = draw_lines(*transform_columns(columns, of_columns, before, axis, table, place, step))

    arguments = (lines, table, axis_of_table, before, axis, of_dc, jnp.asarray(largest_means), step)
    return Decided(*on_cpu(choose_reference, choose_reference, *arguments, gpu=group_axis_choice.choose))


def choose_reference(
    lines: Lines,
    table: Transforms,
    axis_of_table: jax.Array,
    before: jax.Array,
    axis: jax.Array,
    of_dc: jax.Array,
    largest_means: jax.Array,
    step: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Choose the filter and the length of an axis in ``jax.numpy``: the specification of the kernels of GPUs.

    Args:
        lines: that are drawn; the others are arguments of ``decide_axis``.
        table: of transforms.
        axis_of_table: int32.
        before: int32 (2, 3).
        axis: int32.
        of_dc: float32 (L, L, L).
        largest_means: float32 (L,).
        step: float32.

    Returns:
        The fields of ``Decided``.
    """
    _, n_lengths, n_filters, *_ = table.analysis.shape
    costs_by_filter = total_costs(lines, table, (axis_of_table, 0, jnp.arange(n_filters)), step)
    _, best_filter = _find_least(costs_by_filter)
    costs = total_costs(lines, table, (axis_of_table, jnp.arange(n_lengths), best_filter), step)

    is_axis = jnp.arange(3) == axis
    tried = jnp.where(is_axis[None], jnp.arange(n_lengths, dtype=jnp.int32)[:, None], before[:1])
    costs = jnp.where(
        largest_means > MAX_MAGNITUDE * step, jnp.inf, costs + of_dc[tried[:, 0], tried[:, 1], tried[:, 2]]
    )
    cost, best_length = _find_least(costs)
    best = jnp.stack([best_length, best_filter])
    return jnp.where(is_axis[None], best[:, None], before), cost


def _find_least(costs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Find the least of costs, float32, and its index, int32, by one reduction: one kernel of GPUs."""

    def take_less(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
        is_less = (one[0] < other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
        return jnp.where(is_less, one[0], other[0]), jnp.where(is_less, one[1], other[1])

    index = jnp.arange(len(costs), dtype=jnp.int32)
    none = (np.float32(np.inf), np.int32(len(costs)))
    least, place = lax.reduce((costs, index), none, take_less, (0,))
    return least, place


def bound_means(lengths: np.ndarray) -> np.ndarray:
    """Bound the coefficient of the mean of a segment that has a length along all axes: float32 (L,).

    Values lie between −½ and ½. At small steps the mean of a long segment could have more steps than can be
    coded; at any step that is allowed, segments of up to 32 are short enough.
    """
    longest = 1.5 * np.array(SEGMENT_LENGTHS)[lengths]  # the last segment of an axis
    return (longest**1.5 / 2).astype(np.float32)
