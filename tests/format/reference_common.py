"""Checks, data types and rounding of the reference decoder: sections 3 and 16 of ``FORMAT.md``."""

import math
import struct
from typing import Any

import imagecodecs
import ml_dtypes
import numpy as np

Shape = tuple[int, ...]


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


def take_varints(section: bytes, count: int, start: int = 0) -> tuple[list[int], int]:
    """Take varints (3.1); also return the offset behind them."""
    numbers: list[int] = []
    for _ in range(count):
        end = next((i for i in range(start, len(section)) if section[i] < 128), -1)
        require(end >= 0, "a section is shorter than its header")
        groups = section[start : end + 1]
        require(len(groups) == 1 or groups[-1] > 0, "a varint is longer than it need be")
        numbers.append(sum((byte & 127) << 7 * i for i, byte in enumerate(groups)))
        require(numbers[-1] < 2**32, "a varint has more than 32 bits")
        start = end + 1
    return numbers, start


def unfold(folded: int) -> int:
    """Return the signed integer that a varint stands for (3.1)."""
    return -(folded + 1) // 2 if folded % 2 else folded // 2


def take_quantization(section: bytes, dtype: np.dtype) -> tuple[Any, Any, int]:
    """Take the value low and the spacing (13.4); also return the offset behind them."""
    start = dtype.itemsize
    require(len(section) >= start, "a section is shorter than its header")
    low = np.frombuffer(section, dtype.newbyteorder("<"), 1)[0].item()
    if dtype in LONG_DTYPES:
        (half,) = unpack("<Q", section, start)
        require(half < 2**55, "a spacing is not possible")
        return low, 2 * half + 1, start + 8
    if not is_float(dtype):
        (half,), start = take_varints(section, 1, start)
        return low, 2 * half + 1, start
    (spacing,) = unpack("<d", section, start)
    require(math.isfinite(low) and math.isfinite(spacing) and spacing > 0, "a spacing is not possible")
    return low, spacing, start + 8


def crop(shape: Shape) -> tuple[slice, ...]:
    """Return the slices of the first voxels along each axis."""
    return tuple(slice(0, side) for side in shape)


# 3.3 Rounding

LONG_DTYPES = ("int64", "uint64")


def is_float(dtype: np.dtype) -> bool:
    """Tell whether a data type is of floats."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def float_limits(dtype: np.dtype) -> tuple[float, float]:
    """Return the largest finite value of a float type, and its smallest normal number above 0."""
    limits = ml_dtypes.finfo(dtype)
    return float(limits.max), float(limits.tiny)


def round_to_bfloat16(numbers: np.ndarray) -> np.ndarray:
    """Round finite numbers to bfloat16, without a rounding to float32 before."""
    near = numbers.astype(np.float32).view(np.uint32) & 0xFFFF0000  # towards 0
    beyond = near + 0x10000
    below, above = (bits.view(np.float32).astype(np.float64) for bits in (near, beyond))
    to_below, to_above = np.abs(numbers - below), np.abs(numbers - above)
    is_odd = (near >> 16) % 2 == 1
    chosen = np.where((to_above < to_below) | ((to_above == to_below) & is_odd), beyond, near)
    return (chosen >> 16).astype(np.uint16).view(ml_dtypes.bfloat16)


def round_to(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round numbers to a data type (3.3)."""
    if is_float(dtype):
        limit, _ = float_limits(dtype)
        clipped = np.clip(numbers, -limit, limit)
        return round_to_bfloat16(clipped) if dtype.name == "bfloat16" else clipped.astype(dtype)
    if dtype in LONG_DTYPES:
        return clip_to(np.vectorize(int, otypes=[object])(np.rint(numbers)), dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(numbers), limits.min, limits.max).astype(dtype)


def clip_to(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round integers of any size, an array of objects, to int64 or uint64 (3.3)."""
    limits = np.iinfo(dtype)
    return np.clip(integers, int(limits.min), int(limits.max)).astype(dtype)


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
