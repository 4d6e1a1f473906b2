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
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import native_shape_decision
from nvc_jax.spectral.axis_decision import Decided, bound_means, decide_axis
from nvc_jax.spectral.dc_costs import costs_of_dc, sum_blocks
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.shape_columns import (
    Columns,
    are_padded_alike,
    draw_columns,
    draw_columns_by_rows,
    pad_alike,
)
from nvc_jax.spectral.shape_lines import (
    Candidates,
    Transforms,
    make_table,
    table_of_columns,
)
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import Original, TransformShape

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
    volume: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    original: Original | None = None,
    block_sums: jax.Array | None = None,
) -> ShapeDecision:
    """Choose the shape of a volume's transform.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        options: of the encoder.
        original: from which ``volume`` was made, if it was. GPUs take columns from it.
        block_sums: float32 (z, y, x) of the grid of blocks, from ``volume_survey``, if all of the volume
            counts and they are known. The kernel of CPUs needs none.
    """
    candidates = _list_candidates(options)
    if len(candidates.lengths) * len(candidates.filters) == 1:
        return _first_decision(options)

    def kernel(volume: jax.Array, step: jax.Array, valid_shape: jax.Array, *_: Any) -> ShapeDecision:
        *shape, cost = native_shape_decision.choose_shape(
            volume, step, valid_shape, *candidates, first_filter=_first_filter(options)
        )
        return ShapeDecision(TransformShape(*shape), cost)

    def reference(*arguments: Any) -> ShapeDecision:
        volume, step, valid_shape, _, block_sums = arguments
        return choose_shape_reference(volume, step, valid_shape, options, block_sums)

    arguments = (volume, step, valid_shape, original, block_sums)
    return on_cpu(kernel, reference, *arguments, gpu=partial(choose_shape_by_axes, options=options))


def choose_shape_reference(
    volume: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    block_sums: jax.Array | None = None,
) -> ShapeDecision:
    """Choose the shape in ``jax.numpy``: the specification of the kernel; see ``choose_shape``."""
    columns = draw_columns(volume, step, valid_shape)
    listed = _list_candidates(options)
    decide = _make_decision(volume, step, valid_shape, listed, options, block_sums)
    if not are_padded_alike(check_shape(volume.shape)):
        return _decide_in_turn(decide, columns, listed, valid_shape, options)

    # One loop for all axes: it compiles in a quarter of the time.
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pad_alike(columns))
    _, _, side, *sides = stacked.voxels.shape
    table = jax.vmap(partial(make_table, side, _as_arrays(listed)))(valid_shape)
    of_columns = [_constant_table(of_side, listed) for of_side in sides]

    def decide_next(axis: jax.Array, before: Decided) -> Decided:
        of_axis = jax.tree.map(lambda leaf: leaf[axis], stacked._replace(voxels=None))
        of_axis = of_axis._replace(voxels=stacked.voxels)
        return decide(of_axis, of_columns, table, axis, before.choice, axis)

    start = varying_like(stacked.weights, _start(listed, options))
    decided = lax.fori_loop(0, 3, decide_next, start)
    return ShapeDecision(TransformShape(*map(_take, listed, decided.choice)), decided.cost)


def choose_shape_by_axes(
    volume: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    original: Original | None,
    block_sums: jax.Array | None,
    *,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> ShapeDecision:
    """Choose the shape as GPUs do; see ``choose_shape``.

    Columns are drawn by some of the rows of voxels, and read by the kernel that transforms them.
    """
    columns = draw_columns_by_rows(volume, step, valid_shape, original)
    listed = _list_candidates(options)
    decide = _make_decision(volume, step, valid_shape, listed, options, block_sums)
    return _decide_in_turn(decide, columns, listed, valid_shape, options)


def _make_decision(
    volume: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    listed: Candidates,
    options: EncoderOptions,
    block_sums: jax.Array | None,
) -> Any:
    """Make ``decide_axis`` of what is the same for all axes."""
    sums = sum_blocks(volume, valid_shape) if block_sums is None else block_sums
    return partial(
        decide_axis,
        first_filter=_first_place(listed, options),
        step=step,
        of_dc=costs_of_dc(sums, step, valid_shape, listed.lengths),
        largest_means=bound_means(listed.lengths),
    )


def _decide_in_turn(
    decide: Any, columns: list[Columns], listed: Candidates, valid_shape: jax.Array, options: EncoderOptions
) -> ShapeDecision:
    """Decide one axis after the other."""
    decided = _start(listed, options)
    tables = _make_tables([axis.voxels.shape[1] for axis in columns], listed, valid_shape)
    for axis, table in enumerate(tables):
        sides = columns[axis].voxels.shape[2:]
        of_columns = [_constant_table(of_side, listed) for of_side in sides]
        of_axis = columns[axis]
        if isinstance(of_axis.voxels, jax.Array):
            of_axis = of_axis._replace(voxels=of_axis.voxels[None])
        decided = decide(of_axis, of_columns, table, jnp.int32(0), decided.choice, jnp.int32(axis))
    return ShapeDecision(TransformShape(*map(_take, listed, decided.choice)), decided.cost)


def _make_tables(sides: list[int], listed: Candidates, valid_shape: jax.Array) -> list[Transforms]:
    """Make the tables of all axes, each with an axis of length 1 in front: at once, if sides are equal."""
    if len(set(sides)) > 1:
        tables = [make_table(side, _as_arrays(listed), valid_shape[axis]) for axis, side in enumerate(sides)]
        return [jax.tree.map(lambda leaf: leaf[None], table) for table in tables]
    stacked = jax.vmap(partial(make_table, sides[0], _as_arrays(listed)))(valid_shape)
    return [jax.tree.map(lambda leaf, axis=axis: leaf[axis : axis + 1], stacked) for axis in range(3)]


def _as_arrays(listed: Candidates) -> Candidates:
    return Candidates(*map(jnp.asarray, listed))


def _start(listed: Candidates, options: EncoderOptions) -> Decided:
    """Get the shape from which the decisions begin."""
    first = _first_place(listed, options)
    return Decided(jnp.array([[0] * 3, [first] * 3], jnp.int32), jnp.float32(0))


def _first_place(listed: Candidates, options: EncoderOptions) -> int:
    """Get the place of the first filter among the candidates."""
    place: int = listed.filters.tolist().index(_first_filter(options))
    return place


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
