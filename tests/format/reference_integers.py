"""Integers of a volume: sections 11 and 12 of ``FORMAT.md``."""

import math

import numpy as np
from reference_common import Shape, crop, require, take_varints, unpack
from reference_streams import decode_geometric_stream, open_stream

# 11 Coded integers

COORDINATE_PREDICTORS: tuple[Shape, ...] = ((), (2,), (1, 2), (0, 1, 2), (2, 2), (0, 1, 2, 0, 1, 2))
"""Axes along which differences were taken."""


def decode_coded_integers(section: bytes, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode int64 integers of the valid shape; sums wrap round."""
    predictor, shift, n_low, scale, base = unpack("<BBBBq", section)
    (n_lanes, n_outliers), start = take_varints(section, 2, 12)
    n_values, cubes = math.prod(valid_shape), tuple(-(-side // 4) for side in padded_shape)
    n_cubes, plane_bytes = math.prod(cubes), -(-n_values // 8)
    require(predictor < len(COORDINATE_PREDICTORS), f"coded integers state predictor {predictor}")
    require(max(shift, n_low) <= 63, "coded integers state too many bits")
    require(scale < 32 and n_outliers <= n_values, "coded integers state a wrong scale or too many outliers")
    residuals_start = len(section) - 8 * n_outliers
    positions_start = residuals_start - 4 * n_outliers
    planes_start = positions_start - n_low * plane_bytes
    require(start <= planes_start, "coded integers are cut short")

    stream = open_stream(section[start:planes_start], n_lanes, n_cubes, 64)
    high = decode_geometric_stream(stream, [scale] * 64, n_cubes)
    high = high.reshape(*cubes, 4, 4, 4).transpose(0, 3, 1, 4, 2, 5).reshape([4 * n for n in cubes])
    residuals = high[crop(valid_shape)] << n_low
    for bit in range(n_low):
        plane = np.frombuffer(section, np.uint8, plane_bytes, planes_start + bit * plane_bytes)
        residuals |= np.unpackbits(plane, count=n_values).astype(np.int64).reshape(valid_shape) << bit

    positions = np.frombuffer(section, "<u4", n_outliers, positions_start)
    require(positions.max(initial=0) < n_values, "an outlier lies outside the chunk")
    residuals.reshape(-1)[positions] = np.frombuffer(section, "<i8", n_outliers, residuals_start)

    for axis in COORDINATE_PREDICTORS[predictor]:
        residuals = np.cumsum(residuals, axis=axis)
    return (residuals << shift) + np.int64(base)


# 12 Sparse integers


def decode_sparse_integers(section: bytes, valid_shape: Shape) -> np.ndarray:
    """Decode the integers of a volume of which most are 0."""
    (n,), signs_start = take_varints(section, 1)
    n_values, start = math.prod(valid_shape), signs_start + -(-n // 8)
    require(n <= n_values and start <= len(section), "there are too many sparse integers")
    signs = np.frombuffer(section, np.uint8, start - signs_start, signs_start)
    is_negative = np.unpackbits(signs, count=n) == 1
    gaps, start = decode_sequence(section, start, n)
    magnitudes, start = decode_sequence(section, start, n)
    require(start == len(section), "the lengths of sparse integers do not add up")

    ranks = np.cumsum(gaps + 1) - 1
    grid = tuple(-(-side // 8) for side in valid_shape)
    require(ranks.max(initial=0) < 512 * math.prod(grid), "a sparse integer lies outside the chunk")
    blocks = np.stack(np.unravel_index(ranks // 512, grid))
    voxels = np.stack(np.unravel_index(ranks % 512, (8, 8, 8)))
    z, y, x = 8 * blocks + voxels
    is_valid = (z < valid_shape[0]) & (y < valid_shape[1]) & (x < valid_shape[2])
    require(bool(is_valid.all()), "a sparse integer lies outside the chunk")
    integers = np.zeros(valid_shape, np.int64)
    integers[z, y, x] = np.where(is_negative, -1 - magnitudes, magnitudes + 1)
    return integers


def decode_sequence(section: bytes, start: int, n: int) -> tuple[np.ndarray, int]:
    """Decode ``n`` integers that are not negative; also return the offset behind them."""
    (scale_plus_1,), start = take_varints(section, 1, start)
    if scale_plus_1 == 0:
        return np.zeros(n, np.int64), start
    require(scale_plus_1 <= 32, "sparse integers state an unknown scale")
    (n_lanes, n_bytes), start = take_varints(section, 2, start)
    end = start + n_bytes
    require(end <= len(section), "sparse integers are cut short")
    n_groups, most_groups = -(-n // 64), 16
    while most_groups < n_groups:
        most_groups *= 4
    stream = open_stream(section[start:end], n_lanes, most_groups, 64)
    folded = decode_geometric_stream(stream, [scale_plus_1 - 1] * 64, n_groups).reshape(-1)[:n]
    return np.where(folded >= 0, 2 * folded, -2 * folded - 1), end
