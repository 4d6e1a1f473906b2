"""Shape decision: the length of segments and the filter of each axis, chosen before quantisation.

The encoder draws a few columns of the volume (see ``shape_columns``). It transforms them along the other
axes, and draws some of the lines along their own axis, the likelier the more they cost. These it transforms
with every length, and then with every filter, and estimates their cost in bits and error. The cheapest ones
serve the axis. The axes are decided one after the other, each with the others as decided before.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import map_in_turn, varying_like
from nvc_jax.core.platforms import Forms, choose_form, hoist
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.line_costs import line_costs
from nvc_jax.spectral.shape_columns import Columns, draw_columns, pad_alike
from nvc_jax.transform.axis_transform import make_axis_transform
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

_MOST_PADDING = 2.0
"""Ratio of a volume's longest side to its shortest up to which columns of all axes are padded alike."""
_AXES_IN_TURN = (0, 1, 2)
"""Axes in the order of their decisions. To decide the first one anew, once the others are known, saves less
than 0.1 % of the bits."""
_FIRST_FILTER = "half"
"""Filter of all axes before the first decision."""
_LINES_SHARE, _LEAST_LINES = 1 / 8, 256
"""Share of the lines of an axis by which candidates are compared, and the least number of lines."""


class ShapeDecision(NamedTuple):
    """Shape of a volume's transform, and its cost.

    Attributes:
        shape: of the transform.
        cost: float32, estimated cost of the volume's coefficients in bits and error; 0 if nothing tells it.
    """

    shape: TransformShape
    cost: jax.Array


class _Candidates(NamedTuple):
    """Candidates for the transform of an axis.

    Attributes:
        lengths: int32, of SEGMENT_LENGTHS.
        filters: int32, of FILTERS.
    """

    lengths: jax.Array
    filters: jax.Array


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
    first_filter = _FIRST_FILTER if _FIRST_FILTER in options.filters else options.filters[0]
    candidates = _list_candidates(options)
    first = TransformShape(jnp.full(3, candidates.lengths[0]), jnp.full(3, FILTERS.index(first_filter)))
    chosen = ShapeDecision(first, jnp.float32(0))
    if len(options.segment_lengths) * len(options.filters) == 1:
        return chosen
    columns = [draw_columns(volume, step, valid_shape, axis) for axis in range(3)]

    def decide(before: ShapeDecision, axis: jax.Array, columns: Columns) -> ShapeDecision:
        return _decide_axis(columns, step, valid_shape[axis], candidates, before.shape, axis)

    if max(volume.shape) <= _MOST_PADDING * min(volume.shape):
        # One loop for all axes: it compiles in a quarter of the time.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pad_alike(columns))

        def decide_next(before: ShapeDecision, axis: jax.Array) -> tuple[ShapeDecision, None]:
            return decide(before, axis, jax.tree.map(lambda leaf: leaf[axis], stacked)), None

        return lax.scan(decide_next, varying_like(volume, chosen), jnp.array(_AXES_IN_TURN, jnp.int32))[0]
    for axis in _AXES_IN_TURN:
        chosen = decide(chosen, jnp.int32(axis), columns[axis])
    return chosen


def _list_candidates(options: EncoderOptions) -> _Candidates:
    """List the lengths and the filters that the encoder may choose."""
    lengths = [SEGMENT_LENGTHS.index(length) for length in options.segment_lengths]
    filters = [FILTERS.index(name) for name in options.filters]
    return _Candidates(jnp.array(lengths, jnp.int32), jnp.array(filters, jnp.int32))


class _Choice(NamedTuple):
    """Cheapest transform of an axis so far: its cost, float32, and int32 indices of its length and filter."""

    cost: jax.Array
    length: jax.Array
    filter: jax.Array


def _decide_axis(
    columns: Columns,
    step: jax.Array,
    valid: jax.Array,
    candidates: _Candidates,
    shape: TransformShape,
    axis: jax.Array,
) -> ShapeDecision:
    """Choose the filter and then the length of one axis that cost least, the other axes as they are.

    The filters are tried with the shortest length, then the other lengths with the best filter.
    """
    lines = _transform_other_axes(columns, shape, axis)
    weights = jnp.repeat(columns.weights, len(lines.are_means) // len(columns.weights))
    lines, weights = _draw_lines(lines, weights, step, valid, shape.lengths[axis], shape.filters[axis])

    def cost_of(length: jax.Array, filter_index: jax.Array) -> jax.Array:
        return jnp.sum(weights * _costs_of_lines(lines, step, valid, length, filter_index))

    first = varying_like(lines.values, shape.filters[axis])
    hoisted, _, captured = hoist(cost_of, candidates.lengths[0], first)
    is_too_long = _largest_mean(candidates.lengths) > MAX_MAGNITUDE * step
    forms = Forms(*(partial(form, hoisted) for form in (_choose_in_turn, _choose_at_once, _choose_at_once)))
    best = choose_form(forms, _Choice(jnp.float32(0), first, first), captured, candidates, is_too_long, first)
    chosen = TransformShape(shape.lengths.at[axis].set(best.length), shape.filters.at[axis].set(best.filter))
    return ShapeDecision(chosen, best.cost)


def _choose_in_turn(
    cost_of: Callable[..., jax.Array],
    captured: list[Any],
    candidates: _Candidates,
    is_too_long: jax.Array,
    like: jax.Array,
) -> _Choice:
    """Choose a filter and then a length in one loop over both, which compiles faster.

    Args:
        cost_of: computes the cost of a transform, float32, from ``captured``, a length and a filter.
        captured: arrays that it uses.
        candidates: from which to choose.
        is_too_long: bool, lengths that may not be chosen.
        like: array that varies over devices as the results do.
    """
    n_filters = len(candidates.filters)

    def consider(best: _Choice, number: jax.Array) -> tuple[_Choice, None]:
        is_filter, place = number < n_filters, jnp.maximum(number - n_filters + 1, 0)
        filter_index = jnp.where(
            is_filter, candidates.filters[jnp.minimum(number, n_filters - 1)], best.filter
        )
        length = candidates.lengths[place]
        cost = cost_of(captured, length, filter_index)
        cost = jnp.where(is_too_long[place], jnp.inf, cost)
        candidate = _Choice(cost, length, filter_index)
        return jax.tree.map(lambda new, old: jnp.where(cost < best.cost, new, old), candidate, best), None

    no_choice = _Choice(jnp.float32(jnp.inf), candidates.lengths[0], candidates.filters[0])
    numbers = jnp.arange(n_filters + len(candidates.lengths) - 1, dtype=jnp.int32)
    return lax.scan(consider, varying_like(like, no_choice), numbers)[0]


def _choose_at_once(
    cost_of: Callable[..., jax.Array],
    captured: list[Any],
    candidates: _Candidates,
    is_too_long: jax.Array,
    _: jax.Array,
) -> _Choice:
    """Choose as ``_choose_in_turn`` does: among all filters at once, and then among all lengths."""
    costs = jax.vmap(cost_of, (None, None, 0))(captured, candidates.lengths[0], candidates.filters)
    filter_index = candidates.filters[jnp.argmin(costs)]
    costs = jax.vmap(cost_of, (None, 0, None))(captured, candidates.lengths, filter_index)
    costs = jnp.where(is_too_long, jnp.inf, costs)
    place = jnp.argmin(costs)
    return _Choice(costs[place], candidates.lengths[place], filter_index)


class _Lines(NamedTuple):
    """Lines along an axis of columns that are transformed along the other axes.

    Attributes:
        values: float32 (side, n).
        are_means: bool (n,), lines of means along the other axes.
    """

    values: jax.Array
    are_means: jax.Array


def _draw_lines(
    lines: _Lines,
    weights: jax.Array,
    step: jax.Array,
    valid: jax.Array,
    length: jax.Array,
    filter_index: jax.Array,
) -> tuple[_Lines, jax.Array]:
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
    n = min(max(round(_LINES_SHARE * len(weights)), _LEAST_LINES), len(weights))
    costs = weights * _costs_of_lines(lines, step, valid, length, filter_index)
    drawn, weights_of_drawn = draw_systematic(costs, weights > 0, n)
    return _Lines(lines.values[:, drawn], lines.are_means[drawn]), weights[drawn] * weights_of_drawn


def _largest_mean(length_index: jax.Array) -> jax.Array:
    """Bound the coefficient of the mean of a segment that has a length along all axes: float32.

    Values lie between −½ and ½. At small steps the mean of a long segment could have more steps than can be
    coded; at any step that is allowed, segments of up to 32 are short enough.
    """
    longest = 1.5 * jnp.array(SEGMENT_LENGTHS, jnp.float32)  # the last segment of an axis
    return (longest**1.5 / 2)[length_index]


def _costs_of_lines(
    lines: _Lines, step: jax.Array, valid: jax.Array, length: jax.Array, filter_index: jax.Array
) -> jax.Array:
    """Estimate the cost of each line, float32 (n,), with one transform."""
    transform = make_axis_transform(len(lines.values), valid, length, filter_index)
    return line_costs(lines.values, transform, step, lines.are_means)


def _transform_other_axes(columns: Columns, shape: TransformShape, axis: jax.Array) -> _Lines:
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
    return _Lines(rows.transpose(1, 0, 2).reshape(rows.shape[1], -1), are_means.reshape(-1))
