"""Shape decision: the length of segments and the filter of each axis, chosen before quantisation.

The encoder draws a few columns of the volume (see ``shape_columns``). It transforms them along the other
axes, and draws some of the lines along their own axis, the likelier the more they cost. These it transforms
with every filter, and then with every length, and estimates their cost in bits and error, to which that of
all DC is added (see ``dc_costs``). The cheapest ones serve the axis. The axes are decided one after the
other, each with the others as decided before.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.core.platforms import Forms, choose_form, hoist
from nvc_jax.core.shapes import check_shape
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import native_shape_decision
from nvc_jax.spectral.dc_costs import cost_of_dc, sum_blocks
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.shape_columns import Columns, are_padded_alike, draw_columns, pad_alike
from nvc_jax.spectral.shape_lines import costs_of_lines, draw_lines, transform_other_axes
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

_AXES_IN_TURN = (0, 1, 2)
"""Axes in the order of their decisions. To decide the first one anew, once the others are known, saves less
than 0.1 % of the bits."""
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


class _Candidates(NamedTuple):
    """Candidates for the transform of an axis.

    Attributes:
        lengths: int32, of SEGMENT_LENGTHS.
        filters: int32, of FILTERS.
    """

    lengths: Any
    filters: Any


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
    candidates = jax.tree.map(jnp.asarray, _list_candidates(options))
    chosen = _first_decision(options)
    columns = [draw_columns(volume, step, valid_shape, axis) for axis in range(3)]
    sums = sum_blocks(volume, valid_shape)

    def decide(before: ShapeDecision, axis: jax.Array, columns: Columns) -> ShapeDecision:
        return _decide_axis(columns, sums, step, valid_shape, candidates, before.shape, axis)

    if are_padded_alike(check_shape(volume.shape)):
        # One loop for all axes: it compiles in a quarter of the time.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pad_alike(columns))

        def decide_next(before: ShapeDecision, axis: jax.Array) -> tuple[ShapeDecision, None]:
            return decide(before, axis, jax.tree.map(lambda leaf: leaf[axis], stacked)), None

        return lax.scan(decide_next, varying_like(volume, chosen), jnp.array(_AXES_IN_TURN, jnp.int32))[0]
    for axis in _AXES_IN_TURN:
        chosen = decide(chosen, jnp.int32(axis), columns[axis])
    return chosen


def _first_filter(options: EncoderOptions) -> int:
    """Get the filter of all axes before the first decision, by its index."""
    return FILTERS.index(_FIRST_FILTER if _FIRST_FILTER in options.filters else options.filters[0])


def _first_decision(options: EncoderOptions) -> ShapeDecision:
    """Get the shape from which the decisions begin."""
    length = SEGMENT_LENGTHS.index(options.segment_lengths[0])
    shape = TransformShape(jnp.full(3, length, jnp.int32), jnp.full(3, _first_filter(options), jnp.int32))
    return ShapeDecision(shape, jnp.float32(0))


def _list_candidates(options: EncoderOptions) -> _Candidates:
    """List the lengths and the filters that the encoder may choose."""
    lengths = [SEGMENT_LENGTHS.index(length) for length in options.segment_lengths]
    filters = [FILTERS.index(name) for name in options.filters]
    return _Candidates(np.array(lengths, np.int32), np.array(filters, np.int32))


class _Choice(NamedTuple):
    """Cheapest transform of an axis so far: its cost, float32, and int32 indices of its length and filter."""

    cost: jax.Array
    length: jax.Array
    filter: jax.Array


def _decide_axis(
    columns: Columns,
    sums: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    candidates: _Candidates,
    shape: TransformShape,
    axis: jax.Array,
) -> ShapeDecision:
    """Choose the filter and then the length of one axis that cost least, the other axes as they are.

    The filters are tried with the shortest length, then the other lengths with the best filter.
    """
    valid = valid_shape[axis]
    lines = transform_other_axes(columns, shape, axis)
    weights = jnp.repeat(columns.weights, len(lines.are_means) // len(columns.weights))
    lines, weights = draw_lines(lines, weights, step, valid, shape.lengths[axis], shape.filters[axis])

    def cost_of(length: jax.Array, filter_index: jax.Array) -> jax.Array:
        of_lines = jnp.sum(weights * costs_of_lines(lines, step, valid, length, filter_index))
        return of_lines + cost_of_dc(sums, step, valid_shape, shape.lengths.at[axis].set(length))

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


def _largest_mean(length_index: jax.Array) -> jax.Array:
    """Bound the coefficient of the mean of a segment that has a length along all axes: float32.

    Values lie between −½ and ½. At small steps the mean of a long segment could have more steps than can be
    coded; at any step that is allowed, segments of up to 32 are short enough.
    """
    longest = 1.5 * jnp.array(SEGMENT_LENGTHS, jnp.float32)  # the last segment of an axis
    return (longest**1.5 / 2)[length_index]
