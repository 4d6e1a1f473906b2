"""Values that are no measurements: NaN, infinities, fill values. Stored exactly, apart from the rest.

A volume half of which is −1e10 over land has a range that says nothing of its ocean. Such values are taken
out through a mask, what they leave is filled with what costs little, and they come back bit by bit.
"""

import struct
from collections.abc import Sequence

import numpy as np

from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes

_MAX_PATTERNS = 254
_OTHER = 255  # label of a value whose pattern is not in the table
_HEAD = struct.Struct("<BxxxII")


def as_bits(values: np.ndarray) -> np.ndarray:
    """The bit patterns of values, as unsigned integers of their size."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def all_finite(values: np.ndarray) -> bool:
    """Whether all of an array of floats is finite; needs no mask."""
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite([values.min(initial=0), values.max(initial=0)]).all())


def valid_mask(values: np.ndarray, missing_values: Sequence[float] = ()) -> np.ndarray:
    """Which values are finite and none of ``missing_values``; bool of the same shape."""
    if values.dtype.kind == "f" and not all_finite(values):
        valid = np.isfinite(values)
    else:
        valid = np.ones(values.shape, bool)
    for fill in missing_values:
        valid &= values != fill
    return valid


def valid_range(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Smallest and largest valid value; (0, 0) where there is none."""
    chosen = values if valid.all() else values[valid]
    return (float(chosen.min()), float(chosen.max())) if chosen.size else (0.0, 0.0)


def encode_specials(values: np.ndarray, valid: np.ndarray) -> bytes:
    """Where values are not ``valid``, and their bit patterns; empty if all are."""
    if valid.all():
        return b""
    bits = as_bits(values)
    patterns, counts = np.unique(bits[~valid], return_counts=True)
    table = np.sort(patterns[np.argsort(-counts, kind="stable")[:_MAX_PATTERNS]])
    place = np.minimum(np.searchsorted(table, bits), len(table) - 1)
    labels = np.where(table[place] == bits, place + 1, _OTHER).astype(np.uint8)
    labels[valid] = 0
    rest = bits[labels == _OTHER]
    packed = encode_bytes(labels.tobytes(), "zstd")
    head = _HEAD.pack(len(table), len(packed), rest.size)
    little = values.dtype.newbyteorder("<").str.replace("f", "u").replace("i", "u")
    return head + table.astype(little).tobytes() + packed + rest.astype(little).tobytes()


def restore_specials(values: np.ndarray, stored: bytes) -> np.ndarray:
    """Put what ``encode_specials`` stored back into ``values``, in place.

    Returns:
        Labels, uint8 of the same shape: 0 where the values are valid.

    Raises:
        ValueError: it cannot be of such values.
    """
    if not stored:
        return np.zeros(values.shape, np.uint8)
    size = values.dtype.itemsize
    if len(stored) < _HEAD.size:
        raise ValueError(f"special values of {len(stored)} bytes lack their head of {_HEAD.size}")
    n_patterns, n_packed, n_rest = _HEAD.unpack_from(stored)
    ends = np.cumsum([_HEAD.size, n_patterns * size, n_packed, n_rest * size]).tolist()
    if len(stored) != ends[-1] or n_rest > values.size:
        raise ValueError(f"special values take {len(stored)} bytes; their head says {ends[-1]}")
    labels = np.frombuffer(decode_bytes(stored[ends[1] : ends[2]], "zstd", values.size), np.uint8)
    labels = labels.reshape(values.shape)
    is_other = labels == _OTHER
    table = np.frombuffer(stored, f"<u{size}", n_patterns, ends[0])
    is_known = (labels > 0) & ~is_other
    if is_other.sum() != n_rest or (is_known.any() and int(labels[is_known].max()) > n_patterns):
        raise ValueError("the labels of special values contradict their table")
    bits = values.view(f"u{size}")
    bits[is_known] = table[labels[is_known].astype(np.intp) - 1]
    bits[is_other] = np.frombuffer(stored, f"<u{size}", n_rest, ends[2])
    return labels


def fill_smoothly(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``values``, float, with what is not ``valid`` replaced by averages of what is, near it first."""
    if valid.all():
        return values
    filled = np.where(valid, values, 0)
    if not valid.any():
        return filled
    weights = valid.astype(filled.dtype)
    coarse_weights = _pool(weights)
    coarse = _pool(filled * weights) / np.maximum(coarse_weights, 1)
    coarse = fill_smoothly(coarse, coarse_weights > 0)
    for axis in range(3):
        coarse = np.repeat(coarse, 2, axis=axis)
    coarse = coarse[tuple(slice(0, side) for side in values.shape)]
    return np.where(valid, values, coarse)


def _pool(values: np.ndarray) -> np.ndarray:
    """Sums over 2 × 2 × 2 values."""
    padded = np.pad(values, [(0, side % 2) for side in values.shape])
    z, y, x = (side // 2 for side in padded.shape)
    return padded.reshape(z, 2, y, 2, x, 2).sum(axis=(1, 3, 5))


def fill_blocks(values: np.ndarray, valid: np.ndarray, block_size: int, empty: float) -> np.ndarray:
    """``values`` with what is not ``valid`` replaced by the mean of what is in the same block.

    Args:
        values: (z, y, x).
        valid: bool, of the same shape.
        block_size: of the blocks, the first of which begins at the first voxel.
        empty: what fills blocks without anything valid.
    """
    if valid.all():
        return values
    sums = np.stack([np.where(valid, values, 0).astype(np.float64), valid.astype(np.float64)])
    for axis, side in enumerate(values.shape, 1):
        sums = np.add.reduceat(sums, np.arange(0, side, block_size), axis=axis)
    means = np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), empty)
    index = np.ix_(*(np.arange(side) // block_size for side in values.shape))
    return np.where(valid, values, means[index].astype(values.dtype))


def fill_with_last(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``values`` with what is not ``valid`` replaced by the last valid one along x, or another."""
    if valid.all() or not valid.any():
        return values
    index = np.where(valid.reshape(-1), np.arange(values.size), -1)
    index = np.maximum.accumulate(index)
    index[index < 0] = np.flatnonzero(valid)[0]
    return values.reshape(-1)[index].reshape(values.shape)
