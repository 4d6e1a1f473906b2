"""Blocks and the inverse transform: sections 14.2 and 14.8 to 14.13 of ``FORMAT.md``."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from reference_common import Shape

# 14.2 Blocks

FREQUENCIES = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1)
"""Frequencies along z, y and x of each coefficient of a block, (512, 3)."""


class Blocks(NamedTuple):
    """The blocks of a chunk in C order.

    Attributes:
        grid: blocks along z, y and x.
        index: (n, 3), index of each block along z, y and x.
        inside: numbers of the blocks that are inside.
        is_partial: bool (n, 3), the block is partial along z, y, x.
        partial_sides: (3,), voxels along z, y, x of partial blocks.
    """

    grid: Shape
    index: np.ndarray
    inside: np.ndarray
    is_partial: np.ndarray
    partial_sides: np.ndarray


def lay_out_blocks(valid_shape: Shape, padded_shape: Shape) -> Blocks:
    """Cut a chunk into blocks."""
    sides = np.array(valid_shape)
    grid = tuple(-(-side // 8) for side in padded_shape)
    index = np.stack(np.unravel_index(np.arange(math.prod(grid)), grid), axis=1)
    inside = np.flatnonzero((8 * index < sides).all(axis=1))
    return Blocks(grid, index, inside, 8 * index + 8 > sides, (sides - 1) % 8 + 1)


# 14.8 Error weights


def error_weights(blocks: Blocks, boundaries: int) -> np.ndarray:
    """Return e of each coefficient, (n, 512); 1 for the DC."""
    weights = np.ones((len(blocks.index), 512))
    weights *= np.where(blocks.is_partial, np.sqrt(blocks.partial_sides / 8), 1).prod(axis=1)[:, None]
    for axis, side in boundary_sides(boundaries):
        last = blocks.grid[axis] - 1
        at_boundary = blocks.index[:, axis] == side * last
        weights[at_boundary] *= boundary_weights()[FREQUENCIES[:, axis]]
    weights[:, 0] = 1
    return weights


# 14.9 Modes and borders

PLAIN, LAPPED, LARGE = range(3)


def spread_modes(modes: np.ndarray, grid: Shape) -> np.ndarray:
    """Give each block (n,) the mode of its superblock's first block."""
    first = np.ix_(*(np.arange(side) // 2 * 2 for side in grid))
    return modes.reshape(grid)[first].reshape(-1)


def find_large(modes: np.ndarray, valid_shape: Shape) -> np.ndarray:
    """Tell which blocks (z, y, x) belong to a superblock that is transformed as one block of 16³."""
    large = modes == LARGE
    for axis, index in enumerate(np.indices(modes.shape)):
        large &= 16 * (index // 2 + 1) <= valid_shape[axis]
    return large


def find_crossed(modes: np.ndarray, large: np.ndarray, valid_shape: Shape) -> np.ndarray:
    """Tell where the filter crosses the border from a block to the next along each axis, (3, z, y, x)."""
    crossed = np.zeros((3, *modes.shape), bool)
    for axis, block in itertools.product(range(3), np.ndindex(*modes.shape)):
        after = step_along(block, axis, 1)
        if after[axis] >= modes.shape[axis] or 8 * (after[axis] + 1) > valid_shape[axis]:
            continue
        is_filtered = modes[block] != PLAIN and modes[after] != PLAIN and large[block] == large[after]
        is_within_large = large[block] and block[axis] % 2 == 0
        crossed[(axis, *block)] = is_filtered and not is_within_large
    return crossed


def step_along(block: Shape, axis: int, offset: int) -> Shape:
    """Return the index of a block some blocks away along an axis."""
    return tuple(i + offset * (a == axis) for a, i in enumerate(block))


# 14.10 Inverse transform


def inverse_transform(cubes: np.ndarray, modes: np.ndarray, filter_: int, valid_shape: Shape) -> np.ndarray:
    """Turn coefficients (grid z, y, x, 8, 8, 8) into a volume of the padded shape."""
    large = find_large(modes, valid_shape)
    crossed = find_crossed(modes, large, valid_shape)
    cubes = unmix_dc(cubes, large)
    cubes = divide_by_norms(cubes, large, crossed, filter_)
    volume = inverse_dct(cubes, large)
    return undo_filter(volume, crossed, filter_)


def dct(n: int, half: float = 0) -> np.ndarray:
    """Return the orthonormal DCT-II, or with ``half`` of 0.5 the DCT-IV; rows are frequencies."""
    frequency = np.arange(n)[:, None] + half
    matrix = np.sqrt(2 / n) * np.cos(np.pi * (np.arange(n) + 0.5) * frequency / n)
    if half == 0:
        matrix[0] /= np.sqrt(2)
    return matrix


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


def unmix_dc(cubes: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Undo the mixing of the eight DC of large superblocks."""
    cubes = cubes.copy()
    dc = cubes[..., 0, 0, 0]
    for axis in range(3):
        for block in np.argwhere(large):
            if block[axis] % 2 == 0:
                first, second = tuple(block), step_along(block, axis, 1)
                a, b = dc[first], dc[second]
                dc[first], dc[second] = (a + b) / math.sqrt(2), (a - b) / math.sqrt(2)
    return cubes


@functools.cache
def norms(filter_: int, size: int, before: bool, after: bool) -> np.ndarray:
    """Return the norm of each frequency's synthesis function along one axis, (size,)."""
    undo = np.eye(3 * size)
    for border, is_crossed in ((size, before), (2 * size, after)):
        if is_crossed:
            undo[border - 4 : border + 4, border - 4 : border + 4] = border_matrix(filter_)
    return np.linalg.norm(undo[:, size : 2 * size] @ dct(size).T, axis=0)


def divide_by_norms(cubes: np.ndarray, large: np.ndarray, crossed: np.ndarray, filter_: int) -> np.ndarray:
    """Divide each coefficient by its norms along z, y and x."""
    cubes = cubes.copy()
    for block, axis in itertools.product(np.ndindex(*large.shape), range(3)):
        size = 2 if large[block] else 1
        start = block[axis] // size * size
        borders = []
        for border in (start - 1, start + size - 1):
            left = step_along(block, axis, border - block[axis])
            borders.append(border >= 0 and bool(crossed[(axis, *left)]))
        along = norms(filter_, 8 * size, borders[0], borders[1])[block[axis] - start :: size]
        cubes[block] /= np.expand_dims(along, [a for a in range(3) if a != axis])
    return cubes


def inverse_dct(cubes: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Transform each block, and each large superblock, back to voxels."""
    volume = np.zeros([8 * side for side in large.shape])
    for block in np.ndindex(*large.shape):
        coefficients = cubes[block]
        if large[block]:
            if any(i % 2 for i in block):
                continue
            coefficients = np.zeros((16, 16, 16))
            for half in np.ndindex(2, 2, 2):
                part = tuple(i + h for i, h in zip(block, half, strict=True))
                coefficients[half[0] :: 2, half[1] :: 2, half[2] :: 2] = cubes[part]
        size = len(coefficients)
        voxels = np.einsum("abc,ai,bj,ck->ijk", coefficients, *[dct(size)] * 3, optimize=True)
        volume[tuple(slice(8 * i, 8 * i + size) for i in block)] = voxels
    return volume


def undo_filter(volume: np.ndarray, crossed: np.ndarray, filter_: int) -> np.ndarray:
    """Undo the filter along x, then y, then z, at each border that it crosses."""
    volume = volume.copy()
    matrix = border_matrix(filter_)
    for axis in (2, 1, 0):
        for block in np.argwhere(crossed[axis]):
            around = [slice(8 * i, 8 * i + 8) for i in block]
            border = 8 * (block[axis] + 1)
            around[axis] = slice(border - 4, border + 4)
            volume[tuple(around)] = multiply(matrix, volume[tuple(around)], axis)
    return volume


def multiply(matrix: np.ndarray, volume: np.ndarray, axis: int) -> np.ndarray:
    """Multiply the voxels along an axis by a matrix."""
    return np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis)


# 14.11 Chunk boundaries

EMPHASIS = ((1.179, 0.434, 0.226), (-0.067, 1.092, 0.577), (-0.022, -0.286, 0.987))


def emphasis_matrix() -> np.ndarray:
    """Return E, 4 × 4."""
    mix = np.eye(4)
    mix[1:, 1:] = EMPHASIS
    return dct(4).T @ mix @ dct(4)


def boundary_weights() -> np.ndarray:
    """Return g, the weight of each frequency of a block at a boundary, (8,)."""
    undo = np.eye(8)
    undo[:4, :4] = np.linalg.inv(emphasis_matrix())
    synthesis = undo @ dct(8).T
    return np.sqrt(np.array([4, 2, 1, 1, 1, 1, 1, 1]) @ synthesis**2)


def boundary_sides(boundaries: int) -> Iterator[tuple[int, int]]:
    """Yield axis and side (0 for first, 1 for last) of each boundary that is set."""
    for axis, side in itertools.product(range(3), range(2)):
        if boundaries >> (2 * axis + side) & 1:
            yield axis, side


def undo_emphasis(volume: np.ndarray, boundaries: int) -> np.ndarray:
    """Multiply the four voxels next to each boundary that is set by the inverse of E."""
    volume = volume.copy()
    undo = np.linalg.inv(emphasis_matrix())
    for axis, side in boundary_sides(boundaries):
        matrix = undo[::-1, ::-1] if side else undo
        near = [slice(None)] * 3
        near[axis] = slice(-4, None) if side else slice(0, 4)
        volume[tuple(near)] = multiply(matrix, volume[tuple(near)], axis)
    return volume


# 14.12 Partial blocks


def undo_stretching(volume: np.ndarray, valid_shape: Shape) -> np.ndarray:
    """Shrink partial blocks from 8 voxels to as many as they have."""
    volume = volume.copy()
    for axis, side in enumerate(valid_shape):
        m, start = (side - 1) % 8 + 1, (side - 1) // 8 * 8
        matrix = dct(m).T @ dct(8)[:m] * math.sqrt(m / 8)
        stretched, valid = [slice(None)] * 3, [slice(None)] * 3
        stretched[axis], valid[axis] = slice(start, start + 8), slice(start, start + m)
        volume[tuple(valid)] = multiply(matrix, volume[tuple(stretched)], axis)
    return volume


# 14.13 Denormalising


def denormalize(voxels: np.ndarray, low: float, high: float, is_wide: bool) -> np.ndarray:
    """Map [−½, ½] to the range of the stream."""
    v = voxels + 0.5
    if is_wide:
        return low + np.clip(v, 0, 1) * (high - low)
    low, high = float(np.float32(low)), float(np.float32(high))
    return np.clip(low * (1 - v) + high * v, low, high)
