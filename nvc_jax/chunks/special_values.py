"""Special values: NaN, infinities and missing values, stored exactly and apart from the valid values.

A volume half of which is −1e10 over land has a range that says nothing of its ocean. So special values are
taken out through labels, the gaps are filled with values that cost few bits, and every bit of them comes
back. *Exact values* go the same way: valid values that a chunk takes so often that this saves bytes.
"""

import functools
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.value_bytes import to_little_endian
from nvc_jax.core.dtypes import number_of
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.slabs import map_slabs, slabs
from nvc_jax.entropy.label_volumes import decode_labels, encode_labels
from nvc_jax.native.host_kernels import serves
from nvc_jax.native.valid_range import range_of_valid

_MAX_PATTERNS = 254
"""Bit patterns that a label of one byte can name, besides 0 for valid values and ``_OTHER``."""
_OTHER = 255
"""Label of a value whose bit pattern is not in the table."""
_FEW_PATTERNS = 8
"""Patterns that are set one by one; more are looked up for each value."""


class SpecialLabels(NamedTuple):
    """Labels of a chunk's voxels.

    Attributes:
        labels: uint8 (z, y, x), 0 where the body gives the value.
        n_exact: number of labels, from 1 on, of exact values, which are valid.
    """

    labels: np.ndarray
    n_exact: int


def bit_patterns(values: np.ndarray) -> np.ndarray:
    """View values as unsigned integers of their size."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def valid_range(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Smallest and largest valid value; (0, 0) where there is none. Of the two zeros it is 0."""
    if not valid.any():
        return 0.0, 0.0
    if serves(values.dtype) and not valid.all():
        return range_of_valid(values, valid)
    low = high = values.flat[np.argmax(valid)]
    for slab in slabs(values.shape):
        part, is_valid = values[slab], valid[slab]
        chosen = part if is_valid.all() else np.where(is_valid, part, low)
        low, high = min(low, chosen.min()), max(high, chosen.max())
    return number_of(low) + 0, number_of(high) + 0


def encode_special_values(
    values: np.ndarray, valid: np.ndarray, padded_shape: Shape3, exact_patterns: np.ndarray | None = None
) -> bytes:
    """Encode the positions and bit patterns of the values that are not ``valid``, and of exact values.

    Args:
        values: (z, y, x).
        valid: bool, of the same shape.
        padded_shape: (z, y, x) of a whole chunk.
        exact_patterns: unsigned integers, bit patterns of the valid values that are stored here, too.

    Returns:
        The bytes; empty if all values are valid and there are no exact values.
    """
    bits = bit_patterns(values)
    exact = bits.reshape(-1)[:0] if exact_patterns is None else exact_patterns
    has_gaps = not valid.all()
    if not has_gaps and not exact.size:
        return b""
    others = bits[~valid] if has_gaps else exact[:0]
    patterns, counts = np.unique(others, return_counts=True)
    table = np.sort(patterns[np.argsort(-counts, kind="stable")[: _MAX_PATTERNS - exact.size]])
    is_rest = ~np.isin(others, table)
    rest = others[is_rest]
    labels = map_slabs(functools.partial(_label_patterns, exact), bits, dtype=np.uint8)
    if has_gaps:
        labels[~valid] = np.where(is_rest, _OTHER, np.searchsorted(table, others) + 1 + exact.size)

    header = encode_varints(exact.size + len(table), exact.size, rest.size)
    stored = to_little_endian(np.concatenate([exact, table, rest])).tobytes()
    return header + stored + encode_labels(labels, padded_shape)


def _label_patterns(patterns: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Label values by the number of their bit pattern, from 1 on; others have 0: uint8."""
    if not patterns.size:
        return np.zeros(bits.shape, np.uint8)
    labels = (bits == patterns[0]).view(np.uint8)
    for label, pattern in enumerate(patterns[1:], 2):
        labels += (bits == pattern) * np.uint8(label)
    return labels


def restore_special_values(values: np.ndarray, stored: bytes, padded_shape: Shape3) -> SpecialLabels:
    """Put the values that ``encode_special_values`` stored back into ``values``, in place.

    Raises:
        ValueError: the bytes cannot be of such values.
    """
    if not stored:
        return SpecialLabels(np.zeros(values.shape, np.uint8), 0)
    size = values.dtype.itemsize
    (n_patterns, n_exact, n_rest), start = decode_varints(stored, 3)
    rest_start = start + n_patterns * size
    labels_start = rest_start + n_rest * size
    is_possible = n_exact <= n_patterns <= _OTHER and n_rest <= values.size
    if len(stored) < labels_start or not is_possible:
        raise ValueError(
            f"special values of {len(stored)} bytes state {n_patterns} patterns, {n_exact} exact ones and "
            f"{n_rest} others"
        )

    labels = decode_labels(stored[labels_start:], check_shape(values.shape), padded_shape)
    is_other = labels == _OTHER
    largest = labels.max(initial=0, where=~is_other) if n_rest else labels.max(initial=0)
    if np.count_nonzero(is_other) != n_rest or largest > n_patterns:
        raise ValueError("the labels of special values contradict their table")

    bits = values.view(f"u{size}")
    _set_patterns(bits, labels, np.frombuffer(stored, f"<u{size}", n_patterns, start))
    if n_rest:
        bits[is_other] = np.frombuffer(stored, f"<u{size}", n_rest, rest_start)
    return SpecialLabels(labels, n_exact)


def _set_patterns(bits: np.ndarray, labels: np.ndarray, table: np.ndarray) -> None:
    """Set the values of each label from 1 on to the pattern that a table has for it."""
    lookup = np.zeros(_OTHER + 1, table.dtype)
    lookup[1 : len(table) + 1] = table
    for slab in slabs(bits.shape):
        part, own_labels = bits[slab], labels[slab]
        if len(table) > _FEW_PATTERNS:
            np.copyto(part, lookup.take(own_labels), where=own_labels > 0)
            continue
        for label, pattern in enumerate(table, 1):
            np.copyto(part, pattern, where=own_labels == label)
