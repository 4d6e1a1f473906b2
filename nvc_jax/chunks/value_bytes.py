"""Arrays of values as bytes: little-endian, as they are or through a general lossless codec."""

import math

import numpy as np

from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes

_METHODS = ("none", "zstd", "blosc")
"""Codecs by the number that a packed body begins with."""


def to_little_endian(values: np.ndarray) -> np.ndarray:
    """Convert values to the byte order in which they are stored."""
    return values.astype(values.dtype.newbyteorder("<"))


def pack_values(values: np.ndarray) -> bytes:
    """Encode values by the general codec that makes the fewest bytes of them."""
    raw = to_little_endian(values).tobytes()
    packed = [raw, *(encode_bytes(raw, method, values.dtype.itemsize) for method in _METHODS[1:])]
    method = min(range(len(_METHODS)), key=lambda index: len(packed[index]))
    return bytes([method]) + packed[method]


def unpack_values(body: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Decode what ``pack_values`` encoded.

    Raises:
        ValueError: the bytes cannot be of such values.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if not body or body[0] >= len(_METHODS):
        raise ValueError(f"packed values state method {body[:1]!r}")
    method, packed = _METHODS[body[0]], body[1:]
    raw = packed if method == "none" else decode_bytes(packed, method, n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"packed values take {len(raw)} bytes; there must be {n_bytes}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
