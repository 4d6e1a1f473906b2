"""Fields of the headers in payloads: numbers as few bytes, and values in a volume's dtype."""

from typing import Any

import numpy as np

from nvc_jax.core.dtypes import is_float, is_long_integer

_N_BITS = 7
"""Bits of a number in each byte of a varint; the highest bit says that another byte follows."""
_MAX_NUMBER = 2**32 - 1
MAX_HALF_SPACING = 2**55 - 1
"""Half the largest spacing of int64 and uint64, rounded down: 128 spacings, the most that fraction bits of a
lattice need, are in int64's reach, and 256 spacings hold every range."""


def encode_varints(*numbers: int) -> bytes:
    """Write numbers as LEB128: seven bits a byte, the lowest first.

    Raises:
        ValueError: a number is negative or takes more than 32 bits.
    """
    stored = bytearray()
    for number in numbers:
        if not 0 <= number <= _MAX_NUMBER:
            raise ValueError(f"a field of a header cannot hold {number}")
        while number >> _N_BITS:
            stored.append(number & (1 << _N_BITS) - 1 | 1 << _N_BITS)
            number >>= _N_BITS
        stored.append(number)
    return bytes(stored)


def decode_varints(stored: bytes, count: int, start: int = 0) -> tuple[list[int], int]:
    """Read numbers that ``encode_varints`` wrote.

    Args:
        stored: bytes that hold them.
        count: how many there are.
        start: offset of the first.

    Returns:
        The numbers, and the offset behind them.

    Raises:
        ValueError: the bytes end, or a number takes more bytes than it needs or more than 32 bits.
    """
    numbers, position = [], start
    for _ in range(count):
        number, shift = 0, 0
        while True:
            if position >= len(stored):
                raise ValueError(f"a header is cut short: it has {len(stored)} bytes")
            byte = stored[position]
            number |= (byte & (1 << _N_BITS) - 1) << shift
            position, shift = position + 1, shift + _N_BITS
            if byte >> _N_BITS == 0:
                break
            if shift > _MAX_NUMBER.bit_length():
                raise ValueError("a number in a header takes too many bytes")
        if number > _MAX_NUMBER or (byte == 0 and shift > _N_BITS):
            raise ValueError("a number in a header takes too many bytes")
        numbers.append(number)
    return numbers, position


def fold(number: int) -> int:
    """Map integers to numbers that are not negative: 0, −1, 1, −2 and so on to 0, 1, 2, 3 and so on."""
    return 2 * number if number >= 0 else -2 * number - 1


def unfold(folded: int) -> int:
    """Invert ``fold``."""
    return -(folded + 1) // 2 if folded & 1 else folded // 2


def encode_values(dtype: np.dtype, *values: Any) -> bytes:
    """Write values of a volume, little-endian in its dtype."""
    return np.array(values, np.dtype(dtype).newbyteorder("<")).tobytes()


def decode_values(stored: bytes, dtype: np.dtype, count: int) -> list[Any]:
    """Read the values that ``stored`` begins with, as Python numbers.

    Raises:
        ValueError: there are too few bytes.
    """
    dtype = np.dtype(dtype).newbyteorder("<")
    if len(stored) < count * dtype.itemsize:
        raise ValueError(f"a header is cut short: it has {len(stored)} bytes")
    return np.frombuffer(stored, dtype, count).tolist()


def encode_quantization(dtype: np.dtype, low: float, spacing: float) -> bytes:
    """Write a uniform quantisation: a value of the volume, and the spacing from it to others.

    Args:
        dtype: of the volume.
        low: a value of the volume.
        spacing: distance of neighbouring points, above 0; of integers an odd number, which of int64 and
            uint64 is at most 2 · ``MAX_HALF_SPACING`` + 1.
    """
    first = encode_values(dtype, low)
    if is_float(dtype):
        return first + encode_values(np.dtype(np.float64), spacing)
    if is_long_integer(dtype):
        return first + encode_values(np.dtype(np.uint64), int(spacing) // 2)
    return first + encode_varints(int(spacing) // 2)


def decode_quantization(stored: bytes, dtype: np.dtype) -> tuple[Any, Any, int]:
    """Read what ``encode_quantization`` wrote.

    Returns:
        ``low``, ``spacing``, and the offset behind them.

    Raises:
        ValueError: there are too few bytes, or a number is not possible.
    """
    (low,), start = decode_values(stored, dtype, 1), dtype.itemsize
    if is_long_integer(dtype):
        (half,) = decode_values(stored[start:], np.dtype(np.uint64), 1)
        if half > MAX_HALF_SPACING:
            raise ValueError(f"a uniform quantisation has a spacing of {2 * half + 1}")
        return low, 2 * half + 1, start + np.dtype(np.uint64).itemsize
    if not is_float(dtype):
        (half,), start = decode_varints(stored, 1, start)
        return low, 2 * half + 1, start
    (spacing,) = decode_values(stored[start:], np.dtype(np.float64), 1)
    if not (np.isfinite([low, spacing]).all() and spacing > 0):
        raise ValueError(f"a uniform quantisation begins at {low} with a spacing of {spacing}")
    return low, spacing, start + np.dtype(np.float64).itemsize
