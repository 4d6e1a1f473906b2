"""Streams: a volume in fixed point to bytes and back."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from nvc_jax.core.header_fields import decode_varints, encode_varints, fold, unfold
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy.word_stream import WordStream, whole_groups, words_from_bytes, words_to_bytes
from nvc_jax.lattice import programs
from nvc_jax.lattice.geometry import (
    ANCHOR_STRIDE,
    N_LEVEL_GROUPS,
    lattice_shape,
)
from nvc_jax.lattice.items import Items, find_items
from nvc_jax.lattice.plan import MAX_FIXED, MAX_FRACTION_BITS, FixedVolume, Plan
from nvc_jax.lattice.prediction import Rules
from nvc_jax.lattice.tables import (
    MAX_TABLES,
    Merging,
    fit_tables,
    frequencies_of,
    pack_tables,
    rows_of_contexts,
    unpack_tables,
)
from nvc_jax.lattice.weights import (
    BYTES_PER_LEVEL_GROUP,
    default_weights,
    pack_weights,
    unpack_weights,
)

_BITS_PER_LANE = 4096
"""Bits of a stream for each lane, which itself takes 32."""
_ITEMS_PER_LANE = 16384
"""Most items of a lane in streams of few bits, so that these are not slow."""
_MERGE_LEVELS, _MERGE_CLASSES = 1 << N_LEVEL_GROUPS, 2 << N_LEVEL_GROUPS
_FLAGS_SHIFT = 3
"""Lowest bit of the flags in the first byte of a header; the fraction bits are below them."""
_FIXED_BYTES = 4
"""Bytes of a header before its varints."""


class _Header(NamedTuple):
    """Header of a stream.

    Attributes:
        fraction_bits: fraction bits of the values.
        flags: bit g, for each group of levels, whether it has weights of its own; then the two mergings.
        n_lanes: number of lanes.
        n_tables: number of tables.
        anchor_bits: bits of each difference of anchors.
        low, high: smallest and largest value of the volume, in fixed point.
    """

    fraction_bits: int
    flags: int
    n_lanes: int
    n_tables: int
    anchor_bits: int
    low: int
    high: int

    def to_bytes(self) -> bytes:
        """Write the header."""
        first = self.fraction_bits | self.flags << _FLAGS_SHIFT
        fixed = bytes([first, self.n_lanes - 1, self.n_tables, self.anchor_bits])
        return fixed + encode_varints(fold(self.low), self.high - self.low)


def encode_lattice(plan: Plan) -> tuple[bytes, np.ndarray]:
    """Code a volume in fixed point.

    Returns:
        The stream, and the values that it decodes to, int32 (z, y, x).
    """
    low, high = plan.volume.lattice[2:]
    decoded, items, anchor_codes = quantize_volume(plan.volume, plan.weights)
    coded = _code_items(items)

    packed_anchors, anchor_bits = _pack_anchors(anchor_codes)
    flags = sum(1 << group for group, own in enumerate(plan.weights) if own is not None)
    flags |= coded.merging.levels * _MERGE_LEVELS | coded.merging.classes * _MERGE_CLASSES
    header = _Header(plan.volume.fraction_bits, flags, coded.n_lanes, coded.n_tables, anchor_bits, low, high)
    parts = [pack_weights(own) for own in plan.weights if own is not None]
    stored = b"".join([header.to_bytes(), *parts, packed_anchors, coded.tables, coded.words])
    return stored, decoded


def quantize_volume(
    volume: FixedVolume, weights: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, Items, np.ndarray]:
    """Quantise a volume in fixed point.

    Args:
        volume: the volume.
        weights: as of ``Plan``.

    Returns:
        The values that it decodes to, int32 (z, y, x); the items that are coded; and the codes of
        the anchors, int64 (z, y, x).
    """
    arguments, anchor_codes = quantization_of(volume, weights)
    lattice = check_shape(arguments[0].shape)
    decoded, items = find_items(lattice, volume.shape, *arguments)
    return decoded[tuple(slice(0, side) for side in volume.shape)], items, anchor_codes


def quantization_of(
    volume: FixedVolume, weights: Sequence[np.ndarray | None]
) -> tuple[tuple[jax.Array, jax.Array, np.ndarray, np.ndarray, Rules], np.ndarray]:
    """Put together what quantises a volume: the arguments of ``find_items``, and the codes of the anchors."""
    shape, fraction_bits = volume.shape, volume.fraction_bits
    fixed, counted, low, high = volume.lattice
    at_anchors = tuple(slice(0, side, ANCHOR_STRIDE) for side in shape)
    anchor_codes = _round(np.asarray(fixed)[at_anchors], fraction_bits)
    anchors = _anchors(anchor_codes, fraction_bits, check_shape(fixed.shape))
    stacked = np.stack([default_weights() if own is None else own for own in weights])
    rules = _rules(fraction_bits, low, high, shape)
    return (fixed, counted, anchors, stacked, rules), anchor_codes


def decode_lattice(stored: bytes, shape: Shape3, padded_shape: Shape3) -> tuple[np.ndarray, int]:
    """Decode a volume in fixed point; the inverse of ``encode_lattice``.

    Returns:
        int32 of ``shape``, and the number of fraction bits.

    Raises:
        ValueError: the bytes cannot be of such a volume.
    """
    arguments, fraction_bits = parse_lattice(stored, shape, padded_shape)
    decoded = programs.decode(lattice_shape(padded_shape), *arguments)
    return np.asarray(decoded)[tuple(slice(0, side) for side in shape)], fraction_bits


def parse_lattice(
    stored: bytes, shape: Shape3, padded_shape: Shape3
) -> tuple[tuple[WordStream, jax.Array, jax.Array, jax.Array, jax.Array, Rules], int]:
    """Take a stream apart: the arguments of ``programs.decode``, and the number of fraction bits."""
    shape, lattice = check_shape(shape), lattice_shape(padded_shape)
    header, position = _read_header(stored)
    weights = []
    for group in range(N_LEVEL_GROUPS):
        has_own = header.flags >> group & 1
        size = BYTES_PER_LEVEL_GROUP * has_own
        _require(stored, position + size)
        weights.append(unpack_weights(stored[position : position + size]) if has_own else default_weights())
        position += size

    anchor_shape = tuple(-(-side // ANCHOR_STRIDE) for side in shape)
    size = -(-math.prod(anchor_shape) * header.anchor_bits // 8)
    _require(stored, position + size)
    codes = _unpack_anchors(stored[position : position + size], header.anchor_bits, anchor_shape)
    position += size

    merging = Merging(bool(header.flags & _MERGE_LEVELS), bool(header.flags & _MERGE_CLASSES))
    tables, size = unpack_tables(stored[position:], header.n_tables, merging)
    capacity = programs.capacity(lattice)
    stream = words_from_bytes(stored[position + size :], header.n_lanes, programs.MAX_LANES, capacity)
    arguments = (
        stream,
        jax.device_put(_pad_rows(frequencies_of(tables))),
        jax.device_put(rows_of_contexts(tables)),
        jax.device_put(_anchors(codes, header.fraction_bits, lattice)),
        jax.device_put(np.stack(weights)),
        _rules(header.fraction_bits, header.low, header.high, shape),
    )
    return arguments, header.fraction_bits


def _read_header(stored: bytes) -> tuple[_Header, int]:
    """Read and check a header; also return the offset behind it."""
    _require(stored, _FIXED_BYTES)
    first, last_lane, n_tables, anchor_bits = stored[:_FIXED_BYTES]
    (folded_low, span), position = decode_varints(stored, 2, _FIXED_BYTES)
    low = unfold(folded_low)
    fraction_bits, flags = first & (1 << _FLAGS_SHIFT) - 1, first >> _FLAGS_SHIFT
    header = _Header(fraction_bits, flags, last_lane + 1, n_tables, anchor_bits, low, low + span)
    if (
        fraction_bits > MAX_FRACTION_BITS
        or anchor_bits > 32
        or not -MAX_FIXED < header.low <= header.high < MAX_FIXED
    ):
        raise ValueError(f"a lattice stream's header is not possible: {header}")
    return header, position


def _require(stored: bytes, length: int) -> None:
    """Raise ``ValueError`` where a stream is shorter than ``length``."""
    if len(stored) < length:
        raise ValueError(f"a lattice stream of {len(stored)} bytes should have at least {length}")


def _rules(fraction_bits: int, low: int, high: int, shape: Shape3) -> Rules:
    """Parameters of prediction as arrays."""
    # NumPy's: each of JAX's would need a compiled program, and a call to put it on the device.
    return Rules(*(np.array(x, np.int32) for x in (fraction_bits, low, high, shape)))


def _round(fixed: np.ndarray, fraction_bits: int) -> np.ndarray:
    """Nearest whole number of steps."""
    return (fixed.astype(np.int64) + ((1 << fraction_bits) >> 1)) >> fraction_bits


def _anchors(codes: np.ndarray, fraction_bits: int, lattice: Shape3) -> np.ndarray:
    """Decoded values of the anchors, int32; those beyond the volume are like the last in it."""
    widths = [(0, side // ANCHOR_STRIDE - n) for side, n in zip(lattice, codes.shape, strict=True)]
    return np.pad(codes << fraction_bits, widths, mode="edge").astype(np.int32)


def _pack_anchors(codes: np.ndarray) -> tuple[bytes, int]:
    """Bytes of the anchors' codes and the bits of each: differences of successive ones, sign last."""
    differences = np.diff(codes.reshape(-1), prepend=0)
    folded = np.where(differences < 0, -2 * differences - 1, 2 * differences)
    n_bits = int(folded.max()).bit_length()
    bits = folded[:, None] >> np.arange(n_bits)[::-1] & 1
    return np.packbits(bits.astype(np.uint8)).tobytes(), n_bits


def _unpack_anchors(stored: bytes, n_bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Read the anchors' codes; the inverse of ``_pack_anchors``."""
    n = math.prod(shape)
    bits = np.unpackbits(np.frombuffer(stored, np.uint8), count=n * n_bits).reshape(n, n_bits)
    folded = bits @ (np.int64(1) << np.arange(n_bits)[::-1]) if n_bits else np.zeros(n, np.int64)
    differences = np.where(folded & 1 == 1, -(folded + 1) // 2, folded // 2)
    return np.clip(np.cumsum(differences), -MAX_FIXED, MAX_FIXED).reshape(shape)


class _Coded(NamedTuple):
    """Coded items: their tables' mergings, number and bytes, and the words."""

    merging: Merging
    n_tables: int
    tables: bytes
    n_lanes: int
    words: bytes


def _code_items(items: Items) -> _Coded:
    """Fit tables to items and code them."""
    tables, bits = fit_tables(items.histogram.astype(np.int64))
    n_items = int(np.asarray(items.counts).sum())
    n_lanes = np.clip(max(bits / _BITS_PER_LANE, n_items / _ITEMS_PER_LANE), 1, programs.MAX_LANES)
    n_lanes = whole_groups(int(n_lanes))
    stream = programs.push_items(
        rows_of_contexts(tables),
        items.contexts,
        items.values,
        items.counts,
        np.int32(n_lanes),
        _pad_rows(frequencies_of(tables)),
    )
    return _Coded(tables.merging, len(tables.starts), pack_tables(tables), n_lanes, words_to_bytes(stream))


def _pad_rows(frequencies: np.ndarray) -> np.ndarray:
    """Extend tables to MAX_TABLES rows."""
    return np.pad(frequencies, [(0, MAX_TABLES - len(frequencies)), (0, 0)], mode="edge")
