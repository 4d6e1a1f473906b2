"""Blocks, segments and the inverse transform: sections 14.2, 14.5 and 14.8 to 14.11 of ``FORMAT.md``."""

import math
from typing import NamedTuple

import numpy as np
from reference_common import Shape

# 14.2 Blocks

POSITIONS = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1)
"""Position along z, y and x of each coefficient of a block, (512, 3)."""


class Blocks(NamedTuple):
    """The blocks of a chunk in C order.

    Attributes:
        grid: blocks along z, y and x.
        index: (n, 3), index of each block along z, y and x.
        inside: numbers of the blocks that are inside.
        is_partial: bool (n, 3), the block is partial along z, y, x.
        partial_sides: (3,), coefficients along z, y, x of partial blocks.
    """

    grid: Shape
    index: np.ndarray
    inside: np.ndarray
    is_partial: np.ndarray
    partial_sides: np.ndarray


def lay_out_blocks(valid_shape: Shape, padded_shape: Shape) -> Blocks:
    """Cut a chunk into blocks."""
    sides = np.array(valid_shape)
    grid = tuple(side // 8 for side in padded_shape)
    index = np.stack(np.unravel_index(np.arange(math.prod(grid)), grid), axis=1)
    inside = np.flatnonzero((8 * index < sides).all(axis=1))
    return Blocks(grid, index, inside, 8 * index + 8 > sides, (sides - 1) % 8 + 1)


# 14.5 Segments


class Segment(NamedTuple):
    """A segment of an axis: its first voxel, its number of voxels, and its number of blocks."""

    start: int
    length: int
    n_blocks: int


def divide(valid: int, length: int) -> list[Segment]:
    """Divide the valid side of an axis into segments."""
    n = max((2 * valid + length) // (2 * length), 1)
    starts = [length * number for number in range(n)]
    ends = [*starts[1:], valid]
    return [Segment(a, b - a, -(-(b - a) // 8)) for a, b in zip(starts, ends, strict=True)]


def frequency(segment: Segment, turn: int, position: int) -> int:
    """Return the frequency of a position in the block of a segment that is ``turn``-th."""
    m = (segment.length - 1) % 8 + 1
    n = segment.n_blocks
    return n * min(position, m) + (n - 1) * max(position - m, 0) + turn


# 14.8 Inverse transform


class Axis(NamedTuple):
    """Transform of one axis.

    Attributes:
        padded: padded side.
        valid: valid side.
        length: length of segments.
        filter: number of the filter.
        first: whether the bit of the first boundary is set.
        last: whether the bit of the last boundary is set.
    """

    padded: int
    valid: int
    length: int
    filter: int
    first: bool
    last: bool


def inverse_transform(coefficients: np.ndarray, axes: list[Axis]) -> np.ndarray:
    """Turn coefficients (n, 512) into a volume of the padded shape."""
    grid = [axis.padded // 8 for axis in axes]
    cubes = coefficients.reshape(*grid, 8, 8, 8)
    volume = cubes.transpose(0, 3, 1, 4, 2, 5).reshape([axis.padded for axis in axes])
    z, y, x = map(axis_matrix, axes)
    return np.einsum("ai,bj,ck,ijk->abc", z, y, x, volume, optimize=True, order="C")


def axis_matrix(axis: Axis) -> np.ndarray:
    """Return A, the matrix from the coefficients along an axis to its voxels, (padded, padded)."""
    return synthesize(axis) / np.where(norms(axis) > 0, norms(axis), 1)


def norms(axis: Axis) -> np.ndarray:
    """Return the norm of each column of S, (padded,)."""
    return np.sqrt(np.sum(norm_weights(axis) * synthesize(axis) ** 2, axis=0))


def synthesize(axis: Axis) -> np.ndarray:
    """Return S, the product of V, U and C."""
    return undo_emphasis(axis) @ undo_filter(axis) @ synthesize_segments(axis)


def synthesize_segments(axis: Axis) -> np.ndarray:
    """Return C: the inverse DCT of each segment."""
    matrix = np.zeros((axis.padded, axis.padded))
    for segment in divide(axis.valid, axis.length):
        rows = slice(segment.start, segment.start + segment.length)
        cosines = dct(segment.length)
        for coefficient in range(segment.start, segment.start + segment.length):
            turn, position = divmod(coefficient - segment.start, 8)
            matrix[rows, coefficient] = cosines[frequency(segment, turn, position)]
    return matrix


def norm_weights(axis: Axis) -> np.ndarray:
    """Return w of each voxel and coefficient, (padded, padded)."""
    weights = np.ones((axis.padded, axis.padded))
    near = np.array([4, 2, 1, 1])
    if axis.first:
        weights[:4] *= near[:, None]
    if axis.last:
        weights[-4:] *= near[::-1, None]
    for segment in divide(axis.valid, axis.length):
        weights[:, segment.start] = 1  # the coefficient of frequency 0
    return weights


def dct(n: int, half: float = 0) -> np.ndarray:
    """Return the orthonormal DCT-II, or with ``half`` of 0.5 the DCT-IV; rows are frequencies."""
    frequencies = np.arange(n)[:, None] + half
    matrix = np.sqrt(2 / n) * np.cos(np.pi * (np.arange(n) + 0.5) * frequencies / n)
    if half == 0:
        matrix[0] /= np.sqrt(2)
    return matrix


# 14.9 Filter


def filter_matrix(filter_: int) -> np.ndarray:
    """Return R of a filter, 4 × 4."""
    if filter_ == 0:
        return np.eye(4)
    mirror = np.eye(4)[::-1]
    s = 1.0 if filter_ == 1 else 1.6
    matrix = mirror @ dct(4).T @ np.diag([s, 1, 1, 1]) @ dct(4, 0.5) @ mirror
    return (np.eye(4) + matrix) / 2 if filter_ == 2 else matrix


def border_matrix(filter_: int) -> np.ndarray:
    """Return B of a filter: it undoes the filter on the eight voxels around a border."""
    change = np.linalg.inv(filter_matrix(filter_)) - np.eye(4)
    mirror = np.eye(4)[::-1]
    blocks = [[mirror @ change @ mirror, -mirror @ change], [-change @ mirror, change]]
    return np.eye(8) + np.block(blocks) / 2


def undo_filter(axis: Axis) -> np.ndarray:
    """Return U: it undoes the filter at each border between segments."""
    matrix = np.eye(axis.padded)
    for segment in divide(axis.valid, axis.length)[1:]:
        around = slice(segment.start - 4, segment.start + 4)
        matrix[around, around] = border_matrix(axis.filter)
    return matrix


# 14.10 Chunk boundaries

EMPHASIS = ((1.179, 0.434, 0.226), (-0.067, 1.092, 0.577), (-0.022, -0.286, 0.987))


def emphasis_matrix() -> np.ndarray:
    """Return E, 4 × 4."""
    mix = np.eye(4)
    mix[1:, 1:] = EMPHASIS
    return dct(4).T @ mix @ dct(4)


def undo_emphasis(axis: Axis) -> np.ndarray:
    """Return V: it undoes the emphasis at each boundary that is set."""
    matrix, undo = np.eye(axis.padded), np.linalg.inv(emphasis_matrix())
    if axis.first:
        matrix[:4, :4] = undo
    if axis.last:
        matrix[-4:, -4:] = undo[::-1, ::-1]
    return matrix


# 14.11 Denormalising


def denormalize(voxels: np.ndarray, low: float, high: float, is_wide: bool) -> np.ndarray:
    """Map [−½, ½] to the range of the stream."""
    v = voxels + 0.5
    if is_wide:
        return low + np.clip(v, 0, 1) * (high - low)
    low, high = float(np.float32(low)), float(np.float32(high))
    return np.clip(low * (1 - v) + high * v, low, high)
