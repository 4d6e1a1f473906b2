"""Special values: NaN, infinities and missing values, stored exactly and apart from the valid values.

A volume half of which is −1e10 over land has a range that says nothing of its ocean. So special values are
taken out through a mask, the gaps are filled with values that cost few bits, and every bit of them comes
back.
"""

import struct
from collections.abc import Sequence

import numpy as np

from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes

_MAX_PATTERNS = 254
"""Bit patterns that a label of one byte can name, besides 0 for valid values and ``_OTHER``."""
_OTHER = 255
"""Label of a value whose bit pattern is not in the table."""
_HEADER = struct.Struct("<BxxxII")


def bit_patterns(values: np.ndarray) -> np.ndarray:
    """View values as unsigned integers of their size."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def all_finite(values: np.ndarray) -> bool:
    """Tell whether all floats of an array are finite, without making a mask."""
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite([values.min(initial=0), values.max(initial=0)]).all())


def valid_mask(values: np.ndarray, missing_values: Sequence[float] = ()) -> np.ndarray:
    """Mark the values that are finite and not missing: bool of the same shape."""
    if values.dtype.kind == "f" and not all_finite(values):
        valid = np.isfinite(values)
    else:
        valid = np.ones(values.shape, bool)
    for missing_value in missing_values:
        valid &= values != missing_value
    return valid


def valid_range(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Smallest and largest valid value; (0, 0) where there is none."""
    chosen = values if valid.all() else values[valid]
    return (float(chosen.min()), float(chosen.max())) if chosen.size else (0.0, 0.0)


def encode_special_values(values: np.ndarray, valid: np.ndarray) -> bytes:
    """Encode the positions and bit patterns of the values that are not ``valid``; empty if all are."""
    if valid.all():
        return b""
    bits = bit_patterns(values)
    patterns, counts = np.unique(bits[~valid], return_counts=True)
    table = np.sort(patterns[np.argsort(-counts, kind="stable")[:_MAX_PATTERNS]])

    position = np.minimum(np.searchsorted(table, bits), len(table) - 1)
    labels = np.where(table[position] == bits, position + 1, _OTHER).astype(np.uint8)
    labels[valid] = 0
    rest = bits[labels == _OTHER]

    packed = encode_bytes(labels.tobytes(), "zstd")
    header = _HEADER.pack(len(table), len(packed), rest.size)
    little = values.dtype.newbyteorder("<").str.replace("f", "u").replace("i", "u")
    return header + table.astype(little).tobytes() + packed + rest.astype(little).tobytes()


def restore_special_values(values: np.ndarray, stored: bytes) -> np.ndarray:
    """Put the special values that ``encode_special_values`` stored back into ``values``, in place.

    Returns:
        Labels, uint8 of the same shape: 0 where values are valid.

    Raises:
        ValueError: the bytes cannot be of such values.
    """
    if not stored:
        return np.zeros(values.shape, np.uint8)
    size = values.dtype.itemsize
    if len(stored) < _HEADER.size:
        raise ValueError(f"special values of {len(stored)} bytes lack their header of {_HEADER.size}")
    n_patterns, n_packed, n_rest = _HEADER.unpack_from(stored)
    ends = np.cumsum([_HEADER.size, n_patterns * size, n_packed, n_rest * size]).tolist()
    if len(stored) != ends[-1] or n_rest > values.size:
        raise ValueError(f"special values take {len(stored)} bytes; their header states {ends[-1]}")

    labels = np.frombuffer(decode_bytes(stored[ends[1] : ends[2]], "zstd", values.size), np.uint8)
    labels = labels.reshape(values.shape)
    is_other = labels == _OTHER
    is_known = (labels > 0) & ~is_other
    if is_other.sum() != n_rest or (is_known.any() and int(labels[is_known].max()) > n_patterns):
        raise ValueError("the labels of special values contradict their table")

    table = np.frombuffer(stored, f"<u{size}", n_patterns, ends[0])
    bits = values.view(f"u{size}")
    bits[is_known] = table[labels[is_known].astype(np.intp) - 1]
    bits[is_other] = np.frombuffer(stored, f"<u{size}", n_rest, ends[2])
    return labels
