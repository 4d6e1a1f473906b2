"""Spectral bodies: sections 14.1 to 14.6 and 17 of ``FORMAT.md``."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from reference_common import Shape, crop, require, unpack
from reference_refinement import refine
from reference_streams import Stream, open_stream, share_out
from reference_transform import (
    FREQUENCIES,
    Blocks,
    denormalize,
    error_weights,
    inverse_transform,
    lay_out_blocks,
    spread_modes,
    undo_emphasis,
    undo_stretching,
)

# 14 Spectral body


def decode_spectral(
    body: bytes, valid_shape: Shape, padded_shape: Shape, params: Any, *, is_wide: bool
) -> np.ndarray:
    """Decode a spectral body to unrounded values."""
    header = parse_spectral_header(body, params["entropy"], is_wide)
    entropy = take_profile(params["entropy"], header.profile)
    blocks = lay_out_blocks(valid_shape, padded_shape)
    n_classes = len(entropy["tables"])

    stream = open_stream(body, 32, header.used, header.n_lanes, len(blocks.index), 513)
    headers = decode_block_headers(stream, blocks, entropy)
    integers, quantizers = decode_coefficients(stream, blocks, headers, entropy)
    stream.finish()

    integers[:, 0] = undo_dc_prediction(headers.dc, header.predictor, blocks.grid)
    modes = spread_modes(headers.modes, blocks.grid)
    coefficients = reconstruct(integers, quantizers, headers.classes, entropy)
    coefficients = coefficients + refine(
        params["refinement"],
        coefficients,
        entropy["order"],
        n_classes * header.profile + headers.classes,
        3 * header.filter + modes,
        blocks.grid,
    )

    coefficients *= header.step / error_weights(blocks, header.boundaries)
    cubes = coefficients.reshape(*blocks.grid, 8, 8, 8)
    voxels = inverse_transform(cubes, modes.reshape(blocks.grid), header.filter, valid_shape)
    voxels = undo_emphasis(voxels, header.boundaries)
    voxels = undo_stretching(voxels, valid_shape)[crop(valid_shape)]
    return denormalize(voxels, header.low, header.high, is_wide)


# 14.1 Header


class SpectralHeader(NamedTuple):
    """The fields before the words of a spectral stream."""

    low: float
    high: float
    step: float
    used: int
    n_lanes: int
    filter: int
    predictor: int
    boundaries: int
    profile: int


def parse_spectral_header(body: bytes, entropy: Mapping[str, Any], is_wide: bool) -> SpectralHeader:
    """Read the header of a spectral body."""
    header = SpectralHeader(*unpack("<ddfIIBBBB", body))
    low, high = header.low, header.high
    require(math.isfinite(low) and math.isfinite(high) and low < high, "a stream has a wrong range")
    largest = float(np.finfo(np.float32).max)
    require(is_wide or max(abs(low), abs(high)) <= largest, "a stream has a range beyond float32")
    require(2.0**-15 <= header.step <= 2, f"a stream has the step {header.step}")
    require(header.filter < 4 and header.predictor < 4, "a stream states an unknown filter or predictor")
    require(header.boundaries < 64, "a stream states unknown boundaries")
    require(header.profile < count_profiles(entropy), "a stream states an unknown profile")
    require(len(body) == 32 + 2 * header.used, "the length of a stream does not fit its header")
    return header


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
    """Class, mode, end of block and DC integer of each block; 0 for blocks that are not inside."""

    classes: np.ndarray
    modes: np.ndarray
    ends_of_block: np.ndarray
    dc: np.ndarray


def decode_block_headers(stream: Stream, blocks: Blocks, entropy: Mapping[str, np.ndarray]) -> BlockHeaders:
    """Decode the headers of the blocks inside."""
    headers = BlockHeaders(*np.zeros((4, len(blocks.index)), np.int64))
    n_classes, n_lanes = len(entropy["tables"]), len(stream.states)
    previous = np.full(n_lanes, n_classes)
    for lanes, items in share_out(len(blocks.inside), n_lanes):
        block = blocks.inside[items]
        classes = stream.take_tokens(lanes, entropy["class_frequencies"][previous[lanes]])
        classes = np.minimum(classes, n_classes - 1)
        previous[lanes] = headers.classes[block] = classes

        is_first = (blocks.index[block] % 2 == 0).all(axis=1)
        modes = stream.take_tokens(lanes[is_first], entropy["mode_frequencies"][classes[is_first]])
        headers.modes[block[is_first]] = np.minimum(modes, 2)

        headers.ends_of_block[block] = stream.take_tokens(lanes, entropy["end_frequencies"][classes])
        tables = entropy["frequencies"][entropy["tables"][classes, 0]]
        headers.dc[block] = stream.take_integers(lanes, tables)
    return headers


# 14.4 Coefficients


def list_coefficients(blocks: Blocks, headers: BlockHeaders, order: np.ndarray) -> np.ndarray:
    """List all coded coefficients but the DC: (n, 3), block, coefficient, and its position in the block."""
    listed = []
    for block in blocks.inside:
        is_absent = blocks.is_partial[block] & (FREQUENCIES[order] >= blocks.partial_sides)
        coefficients = order[~is_absent.any(axis=1)][: 16 * headers.ends_of_block[block]]
        positions = np.arange(len(coefficients))
        listed.append(np.stack([np.full(len(coefficients), block), coefficients, positions], axis=1))
    return np.concatenate(listed)


def decode_coefficients(
    stream: Stream, blocks: Blocks, headers: BlockHeaders, entropy: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the integers of all coefficients but the DC, and the quantiser of each: (n, 512) both."""
    integers, quantizers = np.zeros((2, len(blocks.index), 512), np.int64)
    items = list_coefficients(blocks, headers, entropy["order"])
    n_tables, n_quantizers = table_counts(entropy)
    current, previous = np.zeros((2, len(stream.states)), np.int64)  # quantisers of each lane
    is_first_step = True
    for lanes, entries in share_out(len(items), len(stream.states)):
        block, coefficient, position = items[entries].T
        if n_quantizers == 2:
            if is_first_step:
                bits = stream.take_bits(lanes, np.full(len(lanes), 2))
                current[lanes], previous[lanes] = bits & 1, bits >> 1
            starts = lanes[position == 0]
            current[starts], previous[starts] = 0, 0
        is_first_step = False

        quantizer = current[lanes]
        rows = entropy["tables"][headers.classes[block], coefficient] + n_tables * quantizer
        taken = stream.take_integers(lanes, entropy["frequencies"][rows])
        integers[block, coefficient], quantizers[block, coefficient] = taken, quantizer

        if n_quantizers == 2:
            current[lanes], previous[lanes] = previous[lanes] ^ (taken & 1), quantizer
    return integers, quantizers


def table_counts(entropy: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Return R and Q, the numbers of tables and of quantisers."""
    n_tables = len(entropy["bits"])
    return n_tables, len(entropy["shrink"]) // n_tables


# 14.5 DC prediction

DC_PREDICTORS: tuple[Shape, ...] = ((), (2,), (1, 2), (0, 1, 2))


def undo_dc_prediction(differences: np.ndarray, predictor: int, grid: Shape) -> np.ndarray:
    """Sum the differences of DC integers (n,) along the predictor's axes."""
    dc = differences.reshape(grid)
    for axis in DC_PREDICTORS[predictor]:
        dc = np.cumsum(dc, axis=axis)
    return dc.reshape(-1)


# 14.6 Reconstruction


def reconstruct(
    integers: np.ndarray, quantizers: np.ndarray, classes: np.ndarray, entropy: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Turn integers (n, 512) into coefficients in steps."""
    n_tables, _ = table_counts(entropy)
    # The DC has a table of its own, and no offset.
    rows = np.minimum(entropy["tables"], n_tables - 1)[classes] + n_tables * quantizers
    offsets = entropy["shrink"].astype(float)[rows]
    offset = np.where(np.abs(integers) == 1, offsets[..., 0], offsets[..., 1])
    offset[:, 0] = 0
    return np.sign(integers) * (np.abs(integers) - quantizers / 2 - offset)


# 17 Tolerance


def decoding_reserve(header: SpectralHeader) -> float:
    """Return the difference of unrounded values that the encoder of a spectral body allows for."""
    width, largest = header.high - header.low, max(abs(header.low), abs(header.high))
    return width * 2.0**-19 + width * header.step * 2.0**-12 + largest * 2.0**-21
