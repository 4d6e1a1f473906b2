"""Shape decision: the length of segments and the filter of each axis, chosen before quantisation.

The encoder draws a few columns of the volume (see ``shape_columns``). It transforms them along the other
axes, and draws some of the lines along their own axis, the likelier the more they cost. These it transforms
with every filter, and then with every length, and estimates their cost in bits and error, to which that of
all DC is added (see ``dc_costs``). The cheapest ones serve the axis. The axes are decided one after the
other, each with the others as decided before.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.core.shapes import check_shape
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import native_shape_decision
from nvc_jax.spectral.dc_costs import costs_of_dc, sum_blocks
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.shape_columns import Columns, are_padded_alike, draw_columns, pad_alike
from nvc_jax.spectral.shape_lines import (
    Candidates,
    TablePlace,
    Transforms,
    draw_lines,
    make_table,
    table_of_columns,
    total_costs,
    transform_columns,
)
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

_FIRST_FILTER = "half"
"""Filter of all axes before the first decision."""


class ShapeDecision(NamedTuple):
    """Shape of a volume's transform, and its cost.

    Attributes:
        shape: of the transform.
        cost: float32, estimated cost of the volume's coefficients in bits and error; 0 if nothing tells it.
    """

    shape: TransformShape
    cost: jax.Array


def choose_shape(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> ShapeDecision:
    """Choose the shape of a volume's transform.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        options: of the encoder.
    """
    candidates = _list_candidates(options)
    if len(candidates.lengths) * len(candidates.filters) == 1:
        return _first_decision(options)

    def kernel(volume: jax.Array, step: jax.Array, valid_shape: jax.Array) -> ShapeDecision:
        *shape, cost = native_shape_decision.choose_shape(
            volume, step, valid_shape, *candidates, first_filter=_first_filter(options)
        )
        return ShapeDecision(TransformShape(*shape), cost)

    return on_cpu(kernel, partial(choose_shape_reference, options=options), volume, step, valid_shape)


def choose_shape_reference(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> ShapeDecision:
    """Choose the shape in ``jax.numpy``: the specification of the kernel; see ``choose_shape``."""
    listed = _list_candidates(options)
    candidates = Candidates(*map(jnp.asarray, listed))
    columns = draw_columns(volume, step, valid_shape)
    first_filter = listed.filters.tolist().index(_first_filter(options))
    decide = partial(
        _decide_axis,
        first_filter=first_filter,
        step=step,
        of_dc=costs_of_dc(sum_blocks(volume, valid_shape), step, valid_shape, listed.lengths),
        largest_means=_largest_means(listed.lengths),
    )
    decided = _Decided(jnp.array([[0] * 3, [first_filter] * 3], jnp.int32), jnp.float32(0))
    if are_padded_alike(check_shape(volume.shape)):
        # One loop for all axes: it compiles in a quarter of the time.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pad_alike(columns))
        _, _, side, *sides = stacked.voxels.shape
        table = jax.vmap(partial(make_table, side, candidates))(valid_shape)
        of_columns = [_constant_table(of_side, listed) for of_side in sides]

        def decide_next(axis: jax.Array, before: _Decided) -> _Decided:
            of_axis = jax.tree.map(lambda leaf: leaf[axis], stacked._replace(voxels=None))
            of_axis = of_axis._replace(voxels=stacked.voxels)
            return decide(of_axis, of_columns, table, axis, before.choice, axis)

        decided = lax.fori_loop(0, 3, decide_next, varying_like(stacked.weights, decided))
    else:
        for axis in range(3):
            _, side, *sides = columns[axis].voxels.shape
            table = make_table(side, candidates, valid_shape[axis])
            table = jax.tree.map(lambda leaf: leaf[None], table)
            of_columns = [_constant_table(of_side, listed) for of_side in sides]
            of_axis = columns[axis]._replace(voxels=columns[axis].voxels[None])
            decided = decide(of_axis, of_columns, table, jnp.int32(0), decided.choice, jnp.int32(axis))
    shape = TransformShape(*map(_take, listed, decided.choice))
    return ShapeDecision(shape, decided.cost)


def _constant_table(side: int, listed: Candidates) -> Transforms:
    """Get the transforms of columns, as constants of the program."""
    table = table_of_columns(side, *(tuple(of_listed.tolist()) for of_listed in listed))
    return jax.tree.map(jnp.asarray, table)


def _take(listed: np.ndarray, places: jax.Array) -> jax.Array:
    """Take candidates by their places, int32 (3,): without a gather, for which GPUs need a kernel."""
    taken = jnp.full_like(places, listed[0])
    for place, candidate in enumerate(listed.tolist()):
        taken = jnp.where(places == place, candidate, taken)
    return taken


def _first_filter(options: EncoderOptions) -> int:
    """Get the filter of all axes before the first decision, by its index."""
    return FILTERS.index(_FIRST_FILTER if _FIRST_FILTER in options.filters else options.filters[0])


def _first_decision(options: EncoderOptions) -> ShapeDecision:
    """Get the shape from which the decisions begin."""
    length = SEGMENT_LENGTHS.index(options.segment_lengths[0])
    shape = TransformShape(jnp.full(3, length, jnp.int32), jnp.full(3, _first_filter(options), jnp.int32))
    return ShapeDecision(shape, jnp.float32(0))


def _list_candidates(options: EncoderOptions) -> Candidates:
    """List the lengths and the filters that the encoder may choose."""
    lengths = [SEGMENT_LENGTHS.index(length) for length in options.segment_lengths]
    filters = [FILTERS.index(name) for name in options.filters]
    return Candidates(np.array(lengths, np.int32), np.array(filters, np.int32))


class _Decided(NamedTuple):
    """Decisions so far.

    Attributes:
        choice: int32 (2, 3), indices of the candidates' lengths and filters, for each axis.
        cost: float32, of the choice.
    """

    choice: jax.Array
    cost: jax.Array


def _decide_axis(
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
) -> _Decided:
    """Choose the filter and then the length of one axis that cost least, the other axes as they are.

    The filters are tried with the shortest length, then the lengths with the best filter. To decide the first
    axis anew, once the others are known, saves less than 0.1 % of the bits.

    Args:
        columns: of the axis; voxels and transforms of one axis or more have an axis for these in front.
        of_columns: transforms of the columns along the other axes.
        table: transforms of one axis or more (see ``make_table``).
        axis_of_table: int32, of the axis among these, of voxels as well.
        before: int32 (2, 3), choice so far.
        axis: int32.
        first_filter: filter of the axis so far, by its index among candidates; static.
        step: float32, of one quantiser, in the volume's units.
        of_dc: float32 (L, L, L), from ``costs_of_dc``.
        largest_means: float32 (L,), from ``_largest_means``.
    """
    _, n_lengths, n_filters, *_ = table.analysis.shape
    lines = transform_columns(columns, axis_of_table, of_columns, before, axis)
    lines = draw_lines(lines, table, TablePlace(axis_of_table, jnp.int32(first_filter)), step)

    place = TablePlace(axis_of_table, jnp.int32(0))
    costs_by_filter = total_costs(lines, table, place, step, n_transforms=n_filters)
    _, best_filter = _find_least(costs_by_filter)
    place = TablePlace(axis_of_table, best_filter)
    costs = total_costs(lines, table, place, step, n_transforms=n_lengths, along_lengths=True)

    is_axis = jnp.arange(3) == axis
    tried = jnp.where(is_axis[None], jnp.arange(n_lengths, dtype=jnp.int32)[:, None], before[:1])
    costs = jnp.where(
        largest_means > MAX_MAGNITUDE * step, jnp.inf, costs + of_dc[tried[:, 0], tried[:, 1], tried[:, 2]]
    )
    cost, best_length = _find_least(costs)
    best = jnp.stack([best_length, best_filter])
    return _Decided(jnp.where(is_axis[None], best[:, None], before), cost)


def _find_least(costs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Find the least of costs, float32, and its index, int32, by one reduction: one kernel of GPUs."""

    def take_less(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
        is_less = (one[0] < other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
        return jnp.where(is_less, one[0], other[0]), jnp.where(is_less, one[1], other[1])

    index = jnp.arange(len(costs), dtype=jnp.int32)
    none = (np.float32(np.inf), np.int32(len(costs)))
    least, place = lax.reduce((costs, index), none, take_less, (0,))
    return least, place


def _largest_means(lengths: np.ndarray) -> np.ndarray:
    """Bound the coefficient of the mean of a segment that has a length along all axes: float32 (L,).

    Values lie between −½ and ½. At small steps the mean of a long segment could have more steps than can be
    coded; at any step that is allowed, segments of up to 32 are short enough.
    """
    longest = 1.5 * np.array(SEGMENT_LENGTHS)[lengths]  # the last segment of an axis
    return (longest**1.5 / 2).astype(np.float32)
