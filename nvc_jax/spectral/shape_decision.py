"""Shape decision: the length of segments and the filter of each axis, chosen before quantisation.

The encoder draws a few *columns* of the volume: parts that have the whole length of one axis and a few blocks
along the others. It transforms the columns of an axis with every length, and then with every filter, and
estimates their cost in bits and error. The cheapest ones serve the axis. The axes are decided one after the
other, each with the others as they have been decided before.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape, make_axis_transform

_COLUMN_SIDE = 16
"""Largest side of a column along the axes that it does not span, in voxels."""
_MAX_COLUMNS, _MIN_COLUMNS = 8, 2
"""Limits of the number of columns of an axis."""
_COLUMNS_SHARE = 1 / 4
"""Share of the volume that its columns may have, between these limits: a chunk of 128³ has eight."""
_MOST_PADDING = 2.0
"""Ratio of a volume's longest side to its shortest up to which columns of all axes are padded alike."""
_AXES_IN_TURN = (0, 1, 2, 0)
"""Axes in the order of their decisions. The first one is decided anew once the others are known."""
_FIRST_FILTER = "half"
"""Filter of all axes before the first decision."""
_BITS_OF_CODED, _BITS_PER_OCTAVE = 3, 2
"""Estimated bits of a coded coefficient: 3, and 2 for each doubling of 1 + magnitude in steps."""


class _Columns(NamedTuple):
    """Columns of a volume along one axis, which comes first; the others follow in the order z, y, x.

    Attributes:
        voxels: float32 (columns, side of the axis, two sides of at most _COLUMN_SIDE).
        valid_shapes: int32 (columns, 3), voxels of each column along these axes that lie in the volume.
        weights: float32 (columns,), the number of columns of the volume that each represents.
    """

    voxels: jax.Array
    valid_shapes: jax.Array
    weights: jax.Array


class _Candidates(NamedTuple):
    """Candidates for the transform of an axis.

    Attributes:
        lengths: int32, of SEGMENT_LENGTHS.
        filters: int32, of FILTERS.
    """

    lengths: jax.Array
    filters: jax.Array


def estimate_cost(coefficients: jax.Array, step: jax.Array) -> jax.Array:
    """Estimate the cost of each coefficient in bits and error, float32, whatever its class.

    A coefficient is either dropped, and its square is the error, or coded.

    Args:
        coefficients: float32, any shape.
        step: float32, of one quantiser, in the coefficients' units.
    """
    magnitude = jnp.abs(coefficients) / step
    coded = _BITS_OF_CODED + _BITS_PER_OCTAVE * _rough_log2(1 + magnitude)
    return jnp.minimum(BITS_PER_SQUARED_STEP * magnitude**2, coded)


def _rough_log2(numbers: jax.Array) -> jax.Array:
    """Compute log2 of positive float32 numbers, linear between powers of two: at most 0.09 too small."""
    bits = lax.bitcast_convert_type(numbers, jnp.int32)
    return (bits - (127 << 23)).astype(jnp.float32) * 2.0**-23


def choose_shape(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> TransformShape:
    """Choose the shape of a volume's transform.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        options: of the encoder.
    """
    first_filter = _FIRST_FILTER if _FIRST_FILTER in options.filters else options.filters[0]
    candidates = _list_candidates(options)
    chosen = TransformShape(jnp.full(3, candidates.lengths[0]), jnp.full(3, FILTERS.index(first_filter)))
    if len(options.segment_lengths) * len(options.filters) == 1:
        return chosen
    columns = [_draw_columns(volume, step, valid_shape, axis) for axis in range(3)]

    def decide(shape: TransformShape, axis: jax.Array, columns: _Columns) -> TransformShape:
        return _decide_axis(columns, step, valid_shape[axis], candidates, shape, axis)

    if max(volume.shape) <= _MOST_PADDING * min(volume.shape):
        # One loop for all axes: it compiles in a quarter of the time.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *_pad_alike(columns))

        def decide_next(shape: TransformShape, axis: jax.Array) -> tuple[TransformShape, None]:
            return decide(shape, axis, jax.tree.map(lambda leaf: leaf[axis], stacked)), None

        return lax.scan(decide_next, varying_like(volume, chosen), jnp.array(_AXES_IN_TURN, jnp.int32))[0]
    for axis in _AXES_IN_TURN:
        chosen = decide(chosen, jnp.int32(axis), columns[axis])
    return chosen


def _pad_alike(columns: list[_Columns]) -> list[_Columns]:
    """Pad the columns of all axes to one shape: with voxels beyond the volume, and columns of no weight."""
    shape = np.max([axis.voxels.shape for axis in columns], axis=0)

    def pad(axis: _Columns) -> _Columns:
        widths = [(0, int(wanted) - side) for wanted, side in zip(shape, axis.voxels.shape, strict=True)]
        valid_shapes = jnp.pad(axis.valid_shapes, [widths[0], (0, 0)], constant_values=1)
        return _Columns(jnp.pad(axis.voxels, widths), valid_shapes, jnp.pad(axis.weights, widths[:1]))

    return [pad(axis) for axis in columns]


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
    columns: _Columns,
    step: jax.Array,
    valid: jax.Array,
    candidates: _Candidates,
    shape: TransformShape,
    axis: jax.Array,
) -> TransformShape:
    """Choose the length and then the filter of one axis that cost least, the other axes as they are.

    A loop tries the lengths with the filter that the axis has, then the other filters with the best length.
    """
    n_lengths, n_filters = len(candidates.lengths), len(candidates.filters)
    rows = _transform_other_axes(columns, shape, axis)
    lines = rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
    is_too_long = _largest_mean(candidates.lengths) > MAX_MAGNITUDE * step
    first_filter = shape.filters[axis]
    first_place = jnp.argmax(candidates.filters == first_filter)

    def consider(best: _Choice, number: jax.Array) -> tuple[_Choice, None]:
        is_length, place = number < n_lengths, jnp.minimum(number, n_lengths - 1)
        other = candidates.filters[(first_place + 1 + number - n_lengths) % n_filters]
        length = jnp.where(is_length, candidates.lengths[place], best.length)
        filter_index = jnp.where(is_length, first_filter, other)
        cost = _cost_of_lines(lines, columns.weights, step, valid, length, filter_index)
        cost = jnp.where(is_length & is_too_long[place], jnp.inf, cost)
        candidate = _Choice(cost, length, filter_index)
        return jax.tree.map(lambda new, old: jnp.where(cost < best.cost, new, old), candidate, best), None

    first = varying_like(lines, _Choice(jnp.float32(jnp.inf), candidates.lengths[0], first_filter))
    numbers = jnp.arange(n_lengths + n_filters - 1, dtype=jnp.int32)
    best, _ = lax.scan(consider, first, numbers)
    return TransformShape(shape.lengths.at[axis].set(best.length), shape.filters.at[axis].set(best.filter))


def _largest_mean(length_index: jax.Array) -> jax.Array:
    """Bound the coefficient of the mean of a segment that has a length along all axes: float32.

    Values lie between −½ and ½. At small steps the mean of a long segment could have more steps than can be
    coded; at any step that is allowed, segments of up to 32 are short enough.
    """
    longest = 1.5 * jnp.array(SEGMENT_LENGTHS, jnp.float32)  # the last segment of an axis
    return (longest**1.5 / 2)[length_index]


def _cost_of_lines(
    lines: jax.Array,
    weights: jax.Array,
    step: jax.Array,
    valid: jax.Array,
    length: jax.Array,
    filter_index: jax.Array,
) -> jax.Array:
    """Estimate the cost of lines, float32 (side, lines), with one transform; columns have equally many."""
    matrix = make_axis_transform(len(lines), valid, length, filter_index).analysis
    coefficients = jnp.matmul(matrix, lines, precision=lax.Precision.HIGHEST)
    costs = estimate_cost(coefficients, step)
    by_line = jnp.matmul(jnp.ones(len(lines)), costs, precision=lax.Precision.HIGHEST)  # faster than a sum
    return jnp.sum(by_line.reshape(len(weights), -1) * weights[:, None])


def _transform_other_axes(columns: _Columns, shape: TransformShape, axis: jax.Array) -> jax.Array:
    """Transform columns along all axes but their own: float32 (columns, side of that axis, other voxels)."""
    others = jnp.array([(1, 2), (0, 2), (0, 1)], jnp.int32)[axis]
    lengths, filters = shape.lengths[others], shape.filters[others]

    def transform(voxels: jax.Array, valid_shape: jax.Array) -> jax.Array:
        def make(side: int, k: jax.Array | int) -> jax.Array:
            return make_axis_transform(side, valid_shape[1 + k], lengths[k], filters[k]).analysis

        sides = voxels.shape[1:]
        if sides[0] == sides[1]:
            first, second = lax.map(lambda k: make(sides[0], k), jnp.arange(2, dtype=jnp.int32))
        else:
            first, second = (make(side, k) for k, side in enumerate(sides))
        voxels = jnp.einsum("ij,sjx->six", first, voxels, precision=lax.Precision.HIGHEST)
        voxels = jnp.einsum("ij,syj->syi", second, voxels, precision=lax.Precision.HIGHEST)
        return voxels.reshape(len(voxels), -1)

    return jax.vmap(transform)(columns.voxels, columns.valid_shapes)


def _draw_columns(volume: jax.Array, step: jax.Array, valid_shape: jax.Array, axis: int) -> _Columns:
    """Draw columns along an axis, the likelier the more active they are."""
    shape = check_shape(volume.shape)
    sides = check_shape(
        tuple(side if other == axis else min(side, _COLUMN_SIDE) for other, side in enumerate(shape))
    )
    corners = _column_corners(shape, sides)
    is_inside = jnp.all(jnp.asarray(corners) < valid_shape[None], axis=1)
    activity = _activity(volume, step, corners, sides)
    most = round(_COLUMNS_SHARE * volume.size / math.prod(sides))
    n = min(max(most, _MIN_COLUMNS), _MAX_COLUMNS, len(corners))
    drawn, weights = draw_systematic(activity, is_inside, n)
    starts = jnp.asarray(corners)[drawn]
    voxels = jax.vmap(lambda start: lax.dynamic_slice(volume, start, sides))(starts)
    valid_shapes = jnp.clip(valid_shape[None] - starts, 1, jnp.array(sides, jnp.int32)[None])
    in_turn = np.array([axis, *(other for other in range(3) if other != axis)])
    return _Columns(jnp.moveaxis(voxels, 1 + axis, 1), valid_shapes[:, in_turn], weights)


def _column_corners(shape: Shape3, sides: Shape3) -> np.ndarray:
    """List the first voxels of columns that cover a volume, int32 (n, 3)."""
    starts = []
    for length, side in zip(shape, sides, strict=True):
        last = length - side
        starts.append(sorted({*range(0, last + 1, side), last}))
    mesh = np.meshgrid(*starts, indexing="ij")
    return np.stack([axis.reshape(-1) for axis in mesh], axis=1).astype(np.int32)


def _activity(volume: jax.Array, step: jax.Array, corners: np.ndarray, sides: Shape3) -> jax.Array:
    """Count in each column, float32 (n,), the neighbours along x that differ by more than a step."""
    is_steep = jnp.abs(jnp.diff(volume, axis=2, append=volume[:, :, -1:])) > step
    z, y, x = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    by_block = jnp.sum(
        is_steep.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE), axis=(1, 3, 5), dtype=jnp.float32
    )
    blocks = [side // BLOCK_SIZE for side in sides]
    return jax.vmap(lambda corner: jnp.sum(lax.dynamic_slice(by_block, corner, blocks)))(
        corners // BLOCK_SIZE
    )
