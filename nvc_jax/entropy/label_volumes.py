"""Label volumes: a small integer for each voxel, to bytes and back.

Masks, segmentations and the places of special values are such volumes. Most voxels have the label of their
neighbours, and slices resemble each other along one axis, which the encoder chooses. Labels are replaced by
their *ranks*, by falling frequency, and the ranks go to the label coder. It works on integers only.
"""

import itertools
import math

import numpy as np

from nvc_jax.core.aligned_arrays import zeros_aligned
from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.neighbours import count_equal, count_pairs
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy import label_coding
from nvc_jax.entropy.label_walk import Volume, padded_sides
from nvc_jax.entropy.word_stream import words_from_bytes, words_to_bytes

_REPEATS = 4
"""Bit of the axis's byte: the slices that repeat are stated."""
_FEW_LABELS = 16
"""Number of labels up to which they are counted one by one."""


def encode_labels(labels: np.ndarray, padded_shape: Shape3) -> bytes:
    """Encode labels.

    Args:
        labels: uint8 (z, y, x), at least one.
        padded_shape: (z, y, x), no smaller than the volume's: the shape that programs are compiled for.
            Volumes of many shapes share one program.
    """
    counts = _count_labels(labels)
    table = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)].astype(np.uint8)
    stored = bytes([len(table) - 1]) + table.tobytes()
    if len(table) == 1:
        return stored
    ranks = np.zeros(256, np.uint8)
    ranks[table] = np.arange(len(table))

    axis = _choose_axis(labels)
    are_ranks = np.array_equal(ranks[table], table)
    slices = np.moveaxis(labels if are_ranks else _look_up(ranks, labels, table), axis, 0)
    padded = _slices_first(padded_shape, axis)
    filled = zeros_aligned(padded_sides(padded), np.uint8)
    filled[tuple(slice(0, side) for side in slices.shape)] = slices
    slices = filled[tuple(slice(0, side) for side in slices.shape)]
    # The slice before the first one counts as zeros.
    changes = (slices[1:] != slices[:-1]).reshape(-1, slices[0].size).any(1)
    repeats = np.append(not slices[0].any(), ~changes)
    stream, escaped, n_escaped = label_coding.encode(
        padded, _describe(check_shape(slices.shape), padded, repeats, len(table)), filled
    )

    has_repeats = bool(repeats.any())
    words = words_to_bytes(stream)
    header = encode_varints(axis + _REPEATS * has_repeats, int(stream.n_lanes), len(words), int(n_escaped))
    flags = np.packbits(repeats).tobytes() if has_repeats else b""
    rest = _pack(np.asarray(escaped)[: int(n_escaped)].tobytes())
    return stored + header + flags + words + rest


def decode_labels(stored: bytes, shape: Shape3, padded_shape: Shape3) -> np.ndarray:
    """Decode labels, uint8 of ``shape``; the inverse of ``encode_labels``.

    Raises:
        ValueError: the bytes cannot be of such labels.
    """
    if any(side > n for side, n in zip(shape, padded_shape, strict=True)):
        raise ValueError(f"labels of {shape} voxels are to be decoded; the padded shape is {padded_shape}")
    n_labels = stored[0] + 1 if stored else 0
    if not stored or len(stored) < 1 + n_labels:
        raise ValueError(f"labels of {len(stored)} bytes lack their table of {n_labels}")
    table = np.frombuffer(stored, np.uint8, n_labels, 1)
    start = 1 + n_labels
    if n_labels == 1:
        if len(stored) > start:
            raise ValueError(f"labels of one value take {len(stored)} bytes in place of {start}")
        return np.full(shape, table[0])
    (first, n_lanes, n_bytes, n_escaped), start = decode_varints(stored, 4, start)
    axis, has_repeats = first & (_REPEATS - 1), first & _REPEATS
    if first > _REPEATS + 2 or axis > 2:
        raise ValueError(f"labels state axis {first}")

    slices_shape, padded = _slices_first(shape, axis), _slices_first(padded_shape, axis)
    flag_bytes = -(-slices_shape[0] // 8) if has_repeats else 0
    ends = list(itertools.accumulate([start, flag_bytes, n_bytes]))
    if len(stored) < ends[-1] or n_escaped > math.prod(shape):
        raise ValueError(
            f"the header of labels contradicts their {len(stored)} bytes: it states {n_bytes} bytes of words "
            f"and {n_escaped} escaped labels"
        )
    flags = np.frombuffer(stored, np.uint8, flag_bytes, start)
    repeats = (
        np.unpackbits(flags, count=slices_shape[0]) > 0 if has_repeats else np.zeros(slices_shape[0], bool)
    )
    capacity = label_coding.capacity(padded)
    stream = words_from_bytes(stored[ends[1] : ends[2]], n_lanes, label_coding.MAX_LANES, capacity)
    escaped = np.zeros(math.prod(padded_sides(padded)), np.uint8)
    escaped[:n_escaped] = np.frombuffer(_unpack(stored[ends[2] :], n_escaped), np.uint8)
    if escaped.max() >= n_labels:
        raise ValueError(f"an escaped label is {escaped.max()} of {n_labels}")

    ranks, n_taken, ends_well = label_coding.decode(
        padded,
        _describe(slices_shape, padded, repeats, n_labels),
        stream,
        escaped,
    )
    if not ends_well or int(n_taken) != n_escaped:
        raise ValueError("the stream of labels does not end as it must")
    valid = np.asarray(ranks)[tuple(slice(0, side) for side in slices_shape)]
    padded_table = np.zeros(256, np.uint8)
    padded_table[:n_labels] = table
    labels = _look_up(padded_table, valid, np.arange(n_labels, dtype=np.uint8))
    return np.ascontiguousarray(np.moveaxis(labels, 0, axis))


def _count_labels(labels: np.ndarray) -> np.ndarray:
    """Count how often each label occurs, int64 (256,).

    NumPy compares bytes fast and counts them slowly: few labels are counted one by one, many in pairs.
    """
    largest = int(labels.max())
    if largest < _FEW_LABELS:
        counts = [np.count_nonzero(labels == label) for label in range(1, largest + 1)]
        return np.array([labels.size - sum(counts), *counts] + [0] * (255 - largest))
    flat = np.ascontiguousarray(labels).reshape(-1)
    n_pairs = flat.size // 2
    pairs = np.bincount(flat[: 2 * n_pairs].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    return pairs.sum(0) + pairs.sum(1) + np.bincount(flat[2 * n_pairs :], minlength=256)


def _look_up(table: np.ndarray, numbers: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Look up numbers, uint8, all of which are ``among`` those, in a table of 256.

    NumPy makes indices of eight bytes for that: of few numbers each is replaced by itself.
    """
    if len(among) > _FEW_LABELS:
        return table.take(numbers, mode="clip")
    first, *others = among
    steps = table - table[first]  # modulo 256
    found = np.full_like(numbers, table[first])
    for number in others:
        found += (numbers == number).view(np.uint8) * steps[number]
    return found


def _slices_first(shape: Shape3, axis: int) -> Shape3:
    """Move the side along ``axis`` to the front."""
    others = [side for i, side in enumerate(shape) if i != axis]
    return check_shape((shape[axis], *others))


def _describe(shape: Shape3, padded: Shape3, repeats: np.ndarray, n_labels: int) -> Volume:
    """Describe a volume, slices first, to the coder."""
    flags = np.zeros(padded[0], bool)
    flags[: len(repeats)] = repeats
    return Volume(np.array(shape, np.int32), flags, np.array(n_labels, np.int32))


def _choose_axis(labels: np.ndarray) -> int:
    """Choose the axis along which the labels change least."""

    def changes(axis: int) -> int:
        return count_pairs(labels, axis) - count_equal(labels, axis)

    return min(range(3), key=changes)


def _pack(data: bytes) -> bytes:
    """Compress bytes if that makes them fewer."""
    if not data:
        return b""
    packed = encode_bytes(data, "zstd")
    return packed if len(packed) < len(data) else data


def _unpack(packed: bytes, n_bytes: int) -> bytes:
    """Invert ``_pack``."""
    if len(packed) > n_bytes:
        raise ValueError(f"{n_bytes} escaped labels take {len(packed)} bytes")
    return packed if len(packed) == n_bytes else decode_bytes(packed, "zstd", n_bytes)
