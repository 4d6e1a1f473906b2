"""Bodies of payloads that need no transform: constant, uniformly quantised, differences, packed, levels."""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.sampled_values import has_more_different
from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.chunks.uniform_quantization import (
    choose_spacing,
    dequantize_uniform,
    from_ordered,
    quantize_uniform,
    round_to_dtype,
    to_ordered,
)
from nvc_jax.chunks.value_bytes import pack_values, to_little_endian
from nvc_jax.core.dtypes import is_long_integer
from nvc_jax.core.filling import fill_with_last
from nvc_jax.core.header_fields import decode_quantization, encode_quantization
from nvc_jax.core.neighbours import count_equal, count_pairs
from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import lorenzo
from nvc_jax.entropy.label_volumes import decode_labels, encode_labels

_MAX_LEVELS = 255
"""Largest number of different values that a body of levels may have."""
_LEVEL_SAMPLE = 4096
"""Values by which the encoder finds out soon that a chunk has too many different ones."""
_MIN_EQUAL_SHARE = 1 / 2
"""Share of neighbours along some axis that must be equal for levels to be worth trying."""


def encode_constant(chunk: ChunkValues, max_error: float | None) -> bytes | None:
    """Encode all valid values as one value.

    Args:
        chunk: the values.
        max_error: bound in the volume's units; 0 for lossless, None for no bound.

    Returns:
        The body; None where no single value is within the bound of all.
    """
    if chunk.low == chunk.high:
        valid_values = chunk.values[chunk.valid]
        bits = bit_patterns(valid_values)
        # −0 and 0 are equal, but lossless tells them apart.
        is_constant = max_error != 0 or (bits == bits[0]).all()
        return to_little_endian(valid_values[:1]).tobytes() if is_constant else None
    if is_long_integer(chunk.values.dtype):
        below = int(chunk.high - chunk.low) // 2
        if max_error is None or chunk.high - chunk.low - below > max_error:
            return None
        return to_little_endian(np.array([chunk.low + below], chunk.values.dtype)).tobytes()
    half_range = (chunk.high - chunk.low) / 2
    if max_error is None or half_range > max_error:
        return None
    return to_little_endian(round_to_dtype(np.array([chunk.low + half_range]), chunk.values.dtype)).tobytes()


def decode_constant(body: bytes, shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_constant``."""
    if len(body) != dtype.itemsize:
        raise ValueError(f"a constant of {dtype} takes {dtype.itemsize} bytes, not {len(body)}")
    return np.full(shape, np.frombuffer(body, dtype.newbyteorder("<"))[0], dtype)


def encode_uniform(chunk: ChunkValues, max_error: float, padded_shape: Shape3) -> bytes | None:
    """Quantise values uniformly within a bound, and code the differences of neighbours.

    Args:
        chunk: the values.
        max_error: bound in the volume's units, above 0.
        padded_shape: (z, y, x) of a whole chunk.

    Returns:
        The body; None where the bound is too tight for it.
    """
    spacing = choose_spacing(chunk.values.dtype, chunk.low, chunk.high, max_error)
    if spacing is None:
        return None
    points = quantize_uniform(fill_with_last(chunk.values, chunk.valid), chunk.low, spacing)
    header = encode_quantization(chunk.values.dtype, chunk.low, spacing)
    return header + lorenzo.encode_integers(points, padded_shape)


def decode_uniform(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_uniform``."""
    low, spacing, start = decode_quantization(body, dtype)
    points = lorenzo.decode_integers(body[start:], shape, padded_shape)
    return dequantize_uniform(points, low, spacing, dtype)


def encode_differences(chunk: ChunkValues, padded_shape: Shape3) -> bytes:
    """Code the differences of neighbouring values, lossless."""
    filled = fill_with_last(chunk.values, chunk.valid)
    return lorenzo.encode_integers(to_ordered(filled), padded_shape)


def decode_differences(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_differences``."""
    return from_ordered(lorenzo.decode_integers(body, shape, padded_shape), dtype)


def encode_packed(chunk: ChunkValues) -> bytes:
    """Pack the values' bytes by a general lossless codec."""
    return pack_values(fill_with_last(chunk.values, chunk.valid))


def encode_levels(chunk: ChunkValues, padded_shape: Shape3) -> bytes | None:
    """Code a chunk of few different values by a table of these and a label for each voxel, lossless.

    Returns:
        The body; None where there are too many values, or neighbours are too different for it.
    """
    if has_more_different(chunk, _LEVEL_SAMPLE, _MAX_LEVELS):
        return None
    bits = bit_patterns(fill_with_last(chunk.values, chunk.valid))
    if _equal_share(bits) < _MIN_EQUAL_SHARE:
        return None
    table = np.unique(bits)
    if len(table) > _MAX_LEVELS:
        return None
    labels = np.searchsorted(table, bits).astype(np.uint8)
    patterns = to_little_endian(table.view(chunk.values.dtype)).tobytes()
    return bytes([len(table)]) + patterns + encode_labels(labels, padded_shape)


def _equal_share(bits: np.ndarray) -> float:
    """Share of neighbours that are equal, along the axis along which it is largest."""
    shares = []
    for axis in range(bits.ndim):
        if n_pairs := count_pairs(bits, axis):
            shares.append(count_equal(bits, axis) / n_pairs)
    return max(shares, default=1.0)


def decode_levels(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_levels``."""
    n_levels = body[0] if body else 0
    start = 1 + n_levels * dtype.itemsize
    if n_levels == 0 or len(body) < start:
        raise ValueError(f"levels of {len(body)} bytes lack their table of {n_levels}")
    table = np.frombuffer(body, dtype.newbyteorder("<"), n_levels, 1).astype(dtype)
    labels = decode_labels(body[start:], shape, padded_shape)
    if int(labels.max()) >= n_levels:
        raise ValueError(f"the labels of levels name {labels.max()} of {n_levels}")
    return table[labels]
