"""Checks, data types and rounding of the reference decoder: sections 3 and 16 of ``FORMAT.md``."""

import struct
from typing import Any

import imagecodecs
import numpy as np

Shape = tuple[int, ...]

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
"""Data types by their number."""


class FormatError(ValueError):
    """A payload is not one of format version 1, or is damaged."""


def require(condition: bool, fault: str) -> None:
    """Raise ``FormatError`` unless a condition holds."""
    if not condition:
        raise FormatError(fault)


def unpack(layout: str, section: bytes, offset: int = 0) -> tuple[Any, ...]:
    """Unpack the little-endian fields of a header."""
    require(len(section) >= offset + struct.calcsize(layout), "a section is shorter than its header")
    return struct.unpack_from(layout, section, offset)


def crop(shape: Shape) -> tuple[slice, ...]:
    """Return the slices of the first voxels along each axis."""
    return tuple(slice(0, side) for side in shape)


# 3.3 Rounding


def round_to(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round numbers to a data type (3.3)."""
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return np.clip(numbers, -limit, limit).astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(numbers), limits.min, limits.max).astype(dtype)


# 3.5 Compressed bytes


def decompress(method: str, packed: bytes, n_bytes: int) -> bytes:
    """Decompress a Zstandard frame or a Blosc buffer that must hold so many bytes."""
    decoders = {"zstd": imagecodecs.zstd_decode, "blosc": imagecodecs.blosc_decode}
    try:
        data = bytes(decoders[method](packed))
    except Exception as error:  # each codec has an exception of its own
        raise FormatError(f"compressed bytes are damaged: {error}") from error
    require(len(data) == n_bytes, f"compressed bytes hold {len(data)} bytes in place of {n_bytes}")
    return data
