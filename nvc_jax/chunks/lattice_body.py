"""Bodies of payloads on a lattice: values predicted from coarse to fine, within an error or exactly."""

import itertools

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.filling import fill_smoothly, fill_with_last
from nvc_jax.chunks.uniform_quantization import choose_spacing, quantize_uniform
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.values import decode_values, encode_values

_SAMPLE_SIDE = 24
"""Largest side of the eight cubes that sizes are estimated from."""
_MAX_CLASS = 12
"""Largest class of differences that the estimate tells apart."""


def estimate_lattice_bits(chunk: ChunkValues, max_error: float) -> float:
    """Estimate the bits of a lattice's body from parts of the chunk; infinite where there is none.

    Every value of the sample is predicted from its two neighbours along an axis. The bits are the entropy of
    what is left, given the difference of the neighbours.

    Args:
        chunk: the values.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
    """
    values = chunk.values
    spacing = choose_spacing(values.dtype, chunk.low, chunk.high, max_error)
    if spacing is None:
        return float("inf")
    cubes = [region for region in _octant_cubes(values.shape) if chunk.valid[region].any()]
    points = [
        quantize_uniform(fill_with_last(values[cube], chunk.valid[cube]), chunk.low, spacing)
        for cube in cubes
    ]
    axes = [axis for axis in range(3) if all(part.shape[axis] > 2 for part in points)]
    bits_per_voxel = min((_bits_given_neighbours(points, axis) for axis in axes), default=0.0)
    return bits_per_voxel * values.size


def _octant_cubes(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Cut a cube out of the middle of each octant of a chunk."""
    by_axis = []
    for side in shape:
        size = min(side, _SAMPLE_SIDE)
        starts = {max(0, min(side - size, side * quarter // 4 - size // 2)) for quarter in (1, 3)}
        by_axis.append([slice(start, start + size) for start in sorted(starts)])
    return list(itertools.product(*by_axis))


def _bits_given_neighbours(cubes: list[np.ndarray], axis: int) -> float:
    """Estimate the bits of integers, each predicted from its two neighbours along an axis."""
    lines = [np.moveaxis(cube, axis, 0) for cube in cubes]
    before, middle, after = (
        np.concatenate([line[start : len(line) - 2 + start].reshape(-1) for line in lines])
        for start in range(3)
    )
    residuals = np.abs(middle - (before + after >> 1))
    contexts = np.minimum(_classes(np.abs(after - before)), _MAX_CLASS)
    tokens = np.where(residuals < 8, residuals, 4 + np.minimum(_classes(residuals), 59))
    counts = np.bincount(contexts * 64 + tokens, minlength=64 * (_MAX_CLASS + 1))
    counts = counts.reshape(-1, 64).astype(np.float64)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    entropy = -np.sum(counts * np.log2(np.where(counts > 0, counts / totals, 1)))
    # Behind the token: a sign, and the lower bits of large residuals.
    extra = np.where(residuals < 8, 0, _classes(residuals) - 1) + (residuals > 0)
    return float(entropy + extra.sum()) / residuals.size


def _classes(magnitudes: np.ndarray) -> np.ndarray:
    """Number of binary digits of magnitudes."""
    return np.frexp(magnitudes.astype(np.float64))[1]


def encode_lattice(
    chunk: ChunkValues, max_error: float, padded_shape: Shape3
) -> tuple[bytes, np.ndarray] | None:
    """Code values on a lattice.

    Args:
        chunk: the values.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
        padded_shape: (z, y, x) of a whole chunk.

    Returns:
        The body, and the values that it decodes to; None where the error is too small for the range of the
        values.
    """
    try:
        return encode_values(fill_gaps(chunk), max_error, padded_shape, chunk.valid)
    except ValueError:
        return None


def fill_gaps(chunk: ChunkValues) -> np.ndarray:
    """Fill gaps smoothly, within the range of the values."""
    if chunk.valid.all():
        return chunk.values
    dtype = chunk.values.dtype
    smooth = fill_smoothly(chunk.values.astype(np.float64), chunk.valid).clip(chunk.low, chunk.high)
    rounded = smooth if dtype.kind == "f" else np.rint(smooth)
    return np.where(chunk.valid, chunk.values, rounded.astype(dtype))


def decode_lattice(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_lattice``."""
    return decode_values(body, shape, padded_shape, dtype)
