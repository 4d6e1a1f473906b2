"""Spectral bodies: sections 14.1 to 14.7, 14.12, 17 and 18 of ``FORMAT.md``."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from reference_common import Shape, crop, require, take_varints, unpack
from reference_filter import filter_voxels
from reference_streams import Stream, open_stream, share_out, slot_ends
from reference_transform import (
    POSITIONS,
    Axis,
    Blocks,
    denormalize,
    divide,
    inverse_transform,
    lay_out_blocks,
)

# 14 Spectral body


def decode_spectral(
    body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape, params: Any
) -> np.ndarray:
    """Decode a spectral body to unrounded values."""
    header = parse_spectral_header(body, dtype, params["entropy"], has_filter="filter" in params)
    entropy = take_profile(params["entropy"], header.profile)
    blocks = lay_out_blocks(valid_shape, padded_shape)
    axes = header.axes(valid_shape, padded_shape)

    stream = open_stream(body[header.start :], header.n_lanes, len(blocks.index), 513)
    headers = decode_block_headers(stream, blocks, entropy)
    integers, quantizers = decode_coefficients(stream, blocks, headers, entropy)
    stream.finish()

    integers[:, 0] = undo_dc_prediction(headers.first, header.predicted, axes)
    coefficients = header.step * reconstruct(integers, quantizers, headers.classes, entropy)
    voxels = inverse_transform(coefficients, axes)[crop(valid_shape)]
    if header.strength > 0:
        v = np.clip(voxels + 0.5, 0, 1)
        voxels = filter_voxels(v, header.noise, header.strength, header.step, params["filter"]) - 0.5
    return denormalize(voxels, header.low, header.high, dtype in WIDE_DTYPES)


# 14.1 Header


LENGTHS = (8, 16, 32, 64, 128)
"""Lengths of segments by their number."""
WIDE_DTYPES = ("uint32", "int32", "uint64", "int64", "float64")
"""Data types of which float32 does not hold every value."""


class SpectralHeader(NamedTuple):
    """The fields before the words of a spectral stream."""

    low: float
    high: float
    step: float
    shape: tuple[int, ...]
    profile: int
    noise: int
    strength: int
    n_lanes: int
    start: int

    @property
    def predicted(self) -> list[int]:
        """Axes along which first integers of DC blocks are differences."""
        return [axis for axis in range(3) if self.shape[axis] >> 7]

    def axes(self, valid_shape: Shape, padded_shape: Shape) -> list[Axis]:
        """Return what the transform does along z, y and x."""
        axes = []
        for number, (valid, padded) in enumerate(zip(valid_shape, padded_shape, strict=True)):
            byte = self.shape[number]
            length, filter_ = LENGTHS[byte & 7], byte >> 3 & 3
            first, last = bool(byte >> 5 & 1), bool(byte >> 6 & 1)
            axes.append(Axis(padded, valid, length, filter_, first, last))
        return axes


def parse_spectral_header(
    body: bytes, dtype: np.dtype, entropy: Mapping[str, Any], *, has_filter: bool = False
) -> SpectralHeader:
    """Read the header of a spectral body."""
    dtype = np.dtype(dtype)
    step, *shape, profile = unpack("<f4B", body, 2 * dtype.itemsize)
    low, high = np.frombuffer(body, dtype.newbyteorder("<"), 2).astype(float).tolist()
    start = 2 * dtype.itemsize + 8
    noise, strength = unpack("<2B", body, start) if has_filter else (0, 0)
    (n_lanes,), start = take_varints(body, 1, start + 2 * has_filter)
    require(math.isfinite(low) and math.isfinite(high) and low < high, "a stream has a wrong range")
    require(2.0**-15 <= step <= 2, f"a stream has the step {step}")
    require(all(byte & 7 < len(LENGTHS) for byte in shape), "a stream states an unknown length")
    require(profile < count_profiles(entropy), "a stream states an unknown profile")
    require(noise <= 127 and strength <= 24, "a stream states an unknown setting of the filter")
    return SpectralHeader(low, high, step, tuple(shape), profile, noise, strength, n_lanes, start)


def count_profiles(entropy: Mapping[str, Any]) -> int:
    """Return P, the number of profiles."""
    tables = np.asarray(entropy["tables"])
    return 1 if tables.ndim == 2 else len(tables)


def take_profile(entropy: Mapping[str, Any], profile: int) -> dict[str, np.ndarray]:
    """Return the parameters of a profile; ``order`` is common to all."""
    parameters = {name: np.asarray(array) for name, array in entropy.items()}
    if count_profiles(entropy) == 1:
        return parameters
    return {name: array if name == "order" else array[profile] for name, array in parameters.items()}


# 14.3 Block headers


class BlockHeaders(NamedTuple):
    """Class, end of block and first integer of each block; 0 for blocks that are not inside."""

    classes: np.ndarray
    ends_of_block: np.ndarray
    first: np.ndarray


def decode_block_headers(stream: Stream, blocks: Blocks, entropy: Mapping[str, np.ndarray]) -> BlockHeaders:
    """Decode the headers of the blocks inside."""
    headers = BlockHeaders(*np.zeros((3, len(blocks.index)), np.int64))
    n_classes, n_lanes = len(entropy["tables"]), len(stream.states)
    class_ends, end_ends = slot_ends(entropy["class_frequencies"]), slot_ends(entropy["end_frequencies"])
    integer_ends = slot_ends(entropy["frequencies"])
    previous = [n_classes] * n_lanes
    for step, pairs in enumerate(share_out(len(blocks.inside), n_lanes)):
        own = [(lane, blocks.inside[item]) for lane, item in pairs]
        contexts = [find_header_contexts(blocks, item, step, headers, entropy) for _, item in pairs]
        for (lane, block), (of_class, _) in zip(own, contexts, strict=True):
            row = previous[lane]
            if "class_rows" in entropy:
                row = entropy["class_rows"][of_class, row]
            class_ = min(stream.take_token(lane, class_ends[row]), n_classes - 1)
            previous[lane] = headers.classes[block] = class_
        for lane, block in own:
            headers.ends_of_block[block] = stream.take_token(lane, end_ends[previous[lane]])
        for (lane, block), (_, of_first) in zip(own, contexts, strict=True):
            row = entropy["tables"][previous[lane], 0]
            if "first_rows" in entropy:
                row = entropy["first_rows"][of_first, previous[lane]]
            headers.first[block] = stream.take_integer(lane, integer_ends[row])
    return headers


def find_header_contexts(
    blocks: Blocks, item: int, step: int, headers: BlockHeaders, entropy: Mapping[str, np.ndarray]
) -> tuple[int, int]:
    """Return the contexts of a block's class and first integer; both 0 without contexts of headers.

    The block is the one of number ``item`` of the blocks inside, and its lane has taken ``step`` before it.
    """
    if "class_levels" not in entropy:
        return 0, 0
    position = blocks.index[blocks.inside[item]]
    known = []
    for axis in range(3):
        neighbour = position - np.eye(3, dtype=int)[axis]
        earlier = blocks.inside[item - step : item]
        known += [(axis, block) for block in earlier if (blocks.index[block] == neighbour).all()]
    levels = [int(entropy["class_levels"][headers.classes[block]]) for axis, block in known if axis < 2]
    of_class = 1 + min(max(sum(levels) // len(levels) // 16, 0), 9) if levels else 0
    return of_class, context_of([abs(int(headers.first[block])) for _, block in known])


# 14.4 Coefficients


def list_coefficients(blocks: Blocks, headers: BlockHeaders, order: np.ndarray) -> np.ndarray:
    """List all coded coefficients but first ones: (n, 3), block, coefficient, and its position there."""
    listed = []
    for block in blocks.inside:
        is_absent = blocks.is_partial[block] & (POSITIONS[order] >= blocks.partial_sides)
        coefficients = order[~is_absent.any(axis=1)][: 16 * headers.ends_of_block[block]]
        positions = np.arange(len(coefficients))
        listed.append(np.stack([np.full(len(coefficients), block), coefficients, positions], axis=1))
    return np.concatenate(listed)


def decode_coefficients(
    stream: Stream, blocks: Blocks, headers: BlockHeaders, entropy: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the integers of all coefficients but the first, and the quantiser of each: (n, 512) both."""
    integers, quantizers = np.zeros((2, len(blocks.index), 512), np.int64)
    items = list_coefficients(blocks, headers, entropy["order"]).tolist()
    n_tables, n_quantizers = table_counts(entropy)
    ends = slot_ends(entropy["frequencies"])
    n_lanes = len(stream.states)
    current, previous = [0] * n_lanes, [0] * n_lanes  # quantisers of each lane
    # Magnitudes, in half steps, of what each lane has taken of its block.
    known: list[dict[int, int]] = [{} for _ in range(n_lanes)]
    for step, pairs in enumerate(share_out(len(items), n_lanes)):
        if n_quantizers == 2 and step == 0:
            for lane, _ in pairs:
                bits = stream.take_bits(lane, 2)
                current[lane], previous[lane] = bits & 1, bits >> 1
        for lane, item in pairs:
            block, coefficient, position = items[item]
            if position == 0:
                current[lane], previous[lane] = 0, 0
                known[lane] = {}
            quantizer = current[lane]
            row = entropy["tables"][headers.classes[block], coefficient] + n_tables * quantizer
            if "context_rows" in entropy:
                row = entropy["context_rows"][find_context(coefficient, known[lane]), row]
            taken = stream.take_integer(lane, ends[row])
            known[lane][coefficient] = 2 * abs(taken) - quantizer if taken else 0
            integers[block, coefficient], quantizers[block, coefficient] = taken, quantizer
            if n_quantizers == 2:
                current[lane], previous[lane] = previous[lane] ^ (taken & 1), quantizer
    return integers, quantizers


def find_context(coefficient: int, known: Mapping[int, int]) -> int:
    """Return the context of a coefficient, given the magnitudes of what its lane has taken of the block."""
    neighbours = [coefficient - stride for stride in (64, 8, 1) if coefficient // stride % 8 > 0]
    return context_of([known[neighbour] for neighbour in neighbours if neighbour in known])


def context_of(magnitudes: list[int]) -> int:
    """Return the context for the magnitudes of known neighbours."""
    if not magnitudes:
        return 0
    return 1 + min((3 * sum(magnitudes) // len(magnitudes)).bit_length(), 9)


def table_counts(entropy: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Return R and Q, the numbers of tables and of quantisers."""
    n_tables = len(entropy["bits"])
    return n_tables, len(entropy["shrink"]) // n_tables


# 14.6 DC prediction


def undo_dc_prediction(first: np.ndarray, predicted: list[int], axes: list[Axis]) -> np.ndarray:
    """Sum the differences among the first integers (n,) of blocks along some axes."""
    integers = first.reshape([axis.padded // 8 for axis in axes]).copy()
    dc_blocks = [[segment.start // 8 for segment in divide(axis.valid, axis.length)] for axis in axes]
    dc = integers[np.ix_(*dc_blocks)]
    for axis in predicted:
        dc = np.cumsum(dc, axis=axis)
    integers[np.ix_(*dc_blocks)] = dc
    return integers.reshape(-1)


# 14.7 Reconstruction


def reconstruct(
    integers: np.ndarray, quantizers: np.ndarray, classes: np.ndarray, entropy: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Turn integers (n, 512) into coefficients in steps."""
    n_tables, _ = table_counts(entropy)
    # The first coefficient has a table of its own, and no offset.
    rows = np.minimum(entropy["tables"], n_tables - 1)[classes] + n_tables * quantizers
    offsets = entropy["shrink"].astype(float)[rows]
    offset = np.where(np.abs(integers) == 1, offsets[..., 0], offsets[..., 1])
    offset[:, 0] = 0
    return np.sign(integers) * (np.abs(integers) - quantizers / 2 - offset)


# 17 Tolerance


def decoding_reserve(header: SpectralHeader) -> float:
    """Return the difference of unrounded values that the encoder of a spectral body allows for."""
    width, largest = header.high - header.low, max(abs(header.low), abs(header.high))
    return width * 2.0**-17 + width * header.step * 2.0**-12 + largest * 2.0**-21


# 18 Preview


def decode_preview(
    body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape, params: Any
) -> np.ndarray:
    """Decode about the mean of each block that is inside, from the block headers alone."""
    header = parse_spectral_header(body, dtype, params["entropy"], has_filter="filter" in params)
    blocks = lay_out_blocks(valid_shape, padded_shape)
    axes = header.axes(valid_shape, padded_shape)
    stream = open_stream(body[header.start :], header.n_lanes, len(blocks.index), 513)
    headers = decode_block_headers(stream, blocks, take_profile(params["entropy"], header.profile))

    coefficients = np.zeros((len(blocks.index), 512))
    coefficients[:, 0] = header.step * undo_dc_prediction(headers.first, header.predicted, axes)
    means = inverse_transform(coefficients, axes)[crop(valid_shape)]
    for axis, side in enumerate(valid_shape):
        starts = np.arange(0, side, 8)
        counts = np.minimum(side - starts, 8).reshape([-1 if a == axis else 1 for a in range(3)])
        means = np.add.reduceat(means, starts, axis=axis) / counts
    return denormalize(means, header.low, header.high, dtype in WIDE_DTYPES)
