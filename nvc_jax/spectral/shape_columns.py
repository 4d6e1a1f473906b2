"""Columns of a volume along its axes, by which the shape of its transform is decided.

A column has the whole length of one axis and a few blocks along the others.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.spectral.column_places import PlacedColumns, column_sides, scale_voxels
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.separable import Original

N_COLUMNS = 8
"""Columns of an axis, if there are so many: an eighth of a chunk of 128³. With four the shapes take 1 % more
bits in the mean, with all columns 0.3 % fewer."""


_MOST_PADDING = 2.0
"""Ratio of a volume's longest side to its shortest up to which columns of all axes are padded alike."""
_LINES_SHARE, _LEAST_LINES = 1 / 8, 256
"""Share of the lines of an axis by which candidates are compared, and the least number of lines."""
_Range = tuple[int, int]
"""First of some indices, and their distance."""
_ALL_ROWS: tuple[_Range, ...] = ((0, 1), (0, 1), (0, 1))
_ROWS: tuple[_Range, ...] = ((1, 2), (2, 4), (0, 1))
"""Rows of voxels by which GPUs find out how active blocks are: an eighth of all."""


class Columns(NamedTuple):
    """Columns of a volume along one axis, which comes first; the others follow in the order z, y, x.

    Attributes:
        voxels: float32 (columns, side of the axis, two sides of at most COLUMN_SIDE), or their
            ``PlacedColumns``.
        valid_shapes: int32 (columns, 3), voxels of each column along these axes that lie in the volume.
        weights: float32 (columns,), the number of columns of the volume that each represents; where columns
            overlap, they count less.
    """

    voxels: Any
    valid_shapes: jax.Array
    weights: jax.Array


def draw_columns(volume: jax.Array, step: jax.Array, valid_shape: jax.Array) -> list[Columns]:
    """Draw columns along each axis, the likelier the more active they are.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
    """
    by_block = _count_steep(volume, step, valid_shape)
    columns = _draw_active(by_block, volume, None, valid_shape)
    return [Columns(places.take(), places.valid_shapes, weights) for places, weights in columns]


def draw_columns_by_rows(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, original: Original | None
) -> list[Columns]:
    """Draw columns as ``draw_columns`` does, but find out how active they are by some rows of voxels.

    GPUs do so: all rows would have to be read once more. Columns are given by their places.

    Args:
        volume: as of ``draw_columns``.
        step: as of ``draw_columns``.
        valid_shape: as of ``draw_columns``.
        original: from which ``volume`` was made, if it was: what is needed is taken from it, and then scaled.
    """
    limits = None
    if original is not None and original.volume.shape == volume.shape:
        volume, limits = original.volume, (original.minimum, original.maximum)
    rows = scale_voxels(volume[tuple(slice(first, None, every) for first, every in _ROWS)], limits)
    columns = _draw_active(_count_steep(rows, step, valid_shape, _ROWS), volume, limits, valid_shape)
    return [Columns(places, places.valid_shapes, weights) for places, weights in columns]


def _draw_active(
    by_block: jax.Array,
    volume: jax.Array,
    limits: tuple[jax.Array, jax.Array] | None,
    valid_shape: jax.Array,
) -> list[tuple[PlacedColumns, jax.Array]]:
    """Draw columns by the activity of blocks, int32 of the grid; weights are those of ``Columns``."""
    shape = check_shape(volume.shape)
    sides = [column_sides(shape, axis) for axis in range(3)]
    corners = [column_corners(shape, of_axis) for of_axis in sides]
    activity = [_activity(by_block, corners[axis], sides[axis]) for axis in range(3)]
    are_inside = [jnp.all(jnp.asarray(of_axis) < valid_shape[None], axis=1) for of_axis in corners]
    columns = []
    for axis, (drawn, row, weights) in enumerate(_draw_each(activity, are_inside)):
        of_axis = jnp.asarray(corners[axis])
        places = PlacedColumns(volume, limits, valid_shape, of_axis, drawn, axis, row)
        share = _share_without_overlaps(corners[axis], sides[axis], valid_shape, axis)
        columns.append((places, weights * share))
    return columns


def _draw_each(
    activity: list[jax.Array], are_inside: list[jax.Array]
) -> list[tuple[jax.Array, int, jax.Array]]:
    """Draw columns of each axis, at once if all axes have as many: rows of indices, the row, and weights."""
    counts = [len(of_axis) for of_axis in activity]
    if len(set(counts)) > 1:
        draws = zip(activity, are_inside, counts, strict=True)
        drawn = [draw_systematic(sizes, exists, min(N_COLUMNS, n)) for sizes, exists, n in draws]
        return [(of_axis[None], 0, weights) for of_axis, weights in drawn]

    def draw(sizes: jax.Array, exists: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_systematic(sizes, exists, min(N_COLUMNS, counts[0]))

    # A row is a part of an array in which GPUs find it: they would copy it by a kernel of its own.
    rows, weights = jax.vmap(draw)(jnp.stack(activity), jnp.stack(are_inside))
    return [(rows, axis, weights[axis]) for axis in range(len(counts))]


def column_corners(shape: Shape3, sides: Shape3) -> np.ndarray:
    """List the first voxels of columns that cover a volume, int32 (n, 3)."""
    starts = []
    for length, side in zip(shape, sides, strict=True):
        last = length - side
        starts.append(sorted({*range(0, last + 1, side), last}))
    mesh = np.meshgrid(*starts, indexing="ij")
    return np.stack([axis.reshape(-1) for axis in mesh], axis=1).astype(np.int32)


def _share_without_overlaps(
    corners: np.ndarray, sides: Shape3, valid_shape: jax.Array, axis: int
) -> jax.Array:
    """Divide the number of lines of a volume along an axis by that of all its columns, which may overlap."""
    others = np.array([other for other in range(3) if other != axis])
    valid, largest = valid_shape[others], jnp.array(sides, jnp.int32)[others]
    of_columns = jnp.clip(valid[None] - jnp.asarray(corners)[:, others], 0, largest[None])
    return jnp.prod(valid).astype(jnp.float32) / jnp.sum(jnp.prod(of_columns, axis=1)).astype(jnp.float32)


def _count_steep(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, rows: tuple[_Range, ...] = _ALL_ROWS
) -> jax.Array:
    """Count in each block, int32 of the grid, the neighbours along x that differ by more than a step.

    ``volume`` has some of its rows: the first one and the distance of ``rows`` along z, y and x.
    """
    following = jnp.pad(volume[:, :, 1:], [(0, 0), (0, 0), (0, 1)])
    is_steep = jnp.abs(following - volume) > step
    for axis, (first, every) in enumerate(rows):
        place = lax.broadcasted_iota(jnp.int32, is_steep.shape, axis) * every + first
        is_steep &= place + int(axis == 2) < valid_shape[axis]
    z, y, x = (side * every // BLOCK_SIZE for side, (_, every) in zip(volume.shape, rows, strict=True))
    # First sums of whole rows: they are then fused with the comparison, in vectors.
    of_rows = is_steep.reshape(z, BLOCK_SIZE // rows[0][1], y, BLOCK_SIZE // rows[1][1], -1)
    of_rows = jnp.sum(of_rows, axis=(1, 3), dtype=jnp.int32)
    return jnp.sum(of_rows.reshape(z, y, x, BLOCK_SIZE), axis=3, dtype=jnp.int32)


def _activity(by_block: jax.Array, corners: np.ndarray, sides: Shape3) -> jax.Array:
    """Sum the counts of blocks in each column: float32 (n,)."""
    is_covered = np.ones((1,) * 6, bool)
    for other, n in enumerate(by_block.shape):
        start, block = np.unique(corners[:, other])[:, None], np.arange(n)[None] * BLOCK_SIZE
        covers = (start <= block) & (block < start + sides[other])
        is_covered = is_covered & jnp.expand_dims(covers, [n for n in range(6) if n % 3 != other])
    sums = jnp.sum(jnp.where(is_covered, by_block[None, None, None], 0), axis=(3, 4, 5), dtype=jnp.int32)
    return sums.reshape(-1).astype(jnp.float32)


def count_drawn_lines(n_lines: int) -> int:
    """Get the number of lines, of all those of an axis's columns, by which candidates are compared."""
    return min(max(round(_LINES_SHARE * n_lines), _LEAST_LINES), n_lines)


def are_padded_alike(shape: Shape3) -> bool:
    """Tell whether the columns of all axes are padded to one shape before the axes are decided."""
    return max(shape) <= _MOST_PADDING * min(shape)


def pad_alike(columns: list[Columns]) -> list[Columns]:
    """Pad the columns of all axes to one shape: with voxels beyond the volume, and columns of no weight."""
    shape = np.max([axis.voxels.shape for axis in columns], axis=0)

    def pad(axis: Columns) -> Columns:
        widths = [(0, int(wanted) - side) for wanted, side in zip(shape, axis.voxels.shape, strict=True)]
        valid_shapes = jnp.pad(axis.valid_shapes, [widths[0], (0, 0)], constant_values=1)
        return Columns(jnp.pad(axis.voxels, widths), valid_shapes, jnp.pad(axis.weights, widths[:1]))

    return [pad(axis) for axis in columns]
