"""Bodies of payloads that need no transform: constant, uniformly quantised, differences, packed."""

import struct

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.filling import fill_with_last
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
from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import lorenzo

_UNIFORM_HEADER = struct.Struct("<dd")
_ESTIMATE_SLACK = 1.1
"""Factor by which the estimated size of uniformly quantised values may exceed the smallest body so far before
they are coded at all: estimates from a sample are off by a few per cent."""


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
    half_range = (chunk.high - chunk.low) / 2
    if max_error is None or half_range > max_error:
        return None
    return to_little_endian(round_to_dtype(np.array([chunk.low + half_range]), chunk.values.dtype)).tobytes()


def decode_constant(body: bytes, shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_constant``."""
    if len(body) != dtype.itemsize:
        raise ValueError(f"a constant of {dtype} takes {dtype.itemsize} bytes, not {len(body)}")
    return np.full(shape, np.frombuffer(body, dtype.newbyteorder("<"))[0], dtype)


def encode_uniform(
    chunk: ChunkValues, max_error: float, padded_shape: Shape3, smallest_bytes: float
) -> bytes | None:
    """Quantise values uniformly within a bound, and code the differences of neighbours.

    Args:
        chunk: the values.
        max_error: bound in the volume's units, above 0.
        padded_shape: (z, y, x) of a whole chunk.
        smallest_bytes: bytes of the smallest body so far.

    Returns:
        The body; None where the bound is too tight for it, or it would clearly take more bytes.
    """
    spacing = choose_spacing(chunk.values.dtype, chunk.low, chunk.high, max_error)
    if spacing is None:
        return None
    points = quantize_uniform(fill_with_last(chunk.values, chunk.valid), chunk.low, spacing)
    if lorenzo.estimate_bits(points) * points.size / 8 > _ESTIMATE_SLACK * smallest_bytes:
        return None
    return _UNIFORM_HEADER.pack(chunk.low, spacing) + lorenzo.encode_integers(points, padded_shape)


def decode_uniform(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_uniform``."""
    if len(body) < _UNIFORM_HEADER.size:
        raise ValueError(f"uniformly quantised values of {len(body)} bytes lack their header")
    low, spacing = _UNIFORM_HEADER.unpack_from(body)
    points = lorenzo.decode_integers(body[_UNIFORM_HEADER.size :], shape, padded_shape)
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
