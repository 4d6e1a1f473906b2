"""Body of kind 7, lattice: its section of ``FORMAT.md``."""

import functools
import itertools
import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np
from reference_common import (
    LONG_DTYPES,
    Shape,
    clip_to,
    crop,
    is_float,
    require,
    round_to,
    take_quantization,
    take_varints,
    unfold,
    unpack,
)
from reference_streams import CUBE_ROOTS, Stream, read_stream, slot_ends, to_frequencies

PHASES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
"""Parities of the phases of a level, in the order of coding."""
ACTIVITIES = (1, 2, 4, 6, 10, 15, 22, 32, 48, 72, 112, 180, 300, 600, 1500)
MAGNITUDES = (1, 13, 38, 96, 256)
RANGES = (1, 2, 4, 8, 16, 32, 64)
ODDS = [
    math.ldexp(CUBE_ROOTS[q % 3], 2 * (q // 3)) / (1 + math.ldexp(CUBE_ROOTS[q % 3], 2 * (q // 3)))
    for q in range(-16, 16)
]
"""Shares that a table states."""
FIRST_FLAG_CONTEXT, N_CONTEXTS = 864, 888
MAX_FIXED = 1 << 20


class Header(NamedTuple):
    """Header of the stream."""

    fraction_bits: int
    flags: int
    n_lanes: int
    n_tables: int
    anchor_bits: int
    low: int
    high: int


class BitReader:
    """Bits of bytes, the highest of each byte first."""

    def __init__(self, section: bytes) -> None:
        self.bits = np.unpackbits(np.frombuffer(section, np.uint8))
        self.position = 0

    def read(self, width: int) -> int:
        """Read a number of ``width`` bits."""
        require(self.position + width <= len(self.bits), "a lattice body is cut short")
        taken = self.bits[self.position : self.position + width]
        self.position += width
        return int("0" + "".join(map(str, taken)), 2)


def decode_lattice_body(body: bytes, dtype: np.dtype, shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode values of a data type."""
    low, spacing, start = take_quantization(body, dtype)
    fixed = decode_lattice(body[start:], shape, padded_shape).astype(np.int64)
    fraction_bits = body[start] & 7
    if is_float(dtype):
        return round_to(low + fixed * (spacing / 2**fraction_bits), dtype)
    if dtype in LONG_DTYPES:
        fixed = fixed.astype(object)
    doubled = 2 * fixed * spacing
    nearest = -((2**fraction_bits - doubled) >> (fraction_bits + 1)) + low
    if dtype in LONG_DTYPES:
        return clip_to(nearest, dtype)
    return np.clip(nearest, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def read_header(section: bytes) -> tuple[Header, int]:
    """Read the header (13.7.1); also return the offset behind it."""
    first, last_lane, n_tables, anchor_bits = unpack("<4B", section)
    (folded, span), position = take_varints(section, 2, 4)
    low = unfold(folded)
    header = Header(first & 7, first >> 3, last_lane + 1, n_tables, anchor_bits, low, low + span)
    require(header.fraction_bits <= 6 and anchor_bits <= 32, "a lattice body states too many bits")
    require(-MAX_FIXED < header.low <= header.high < MAX_FIXED, "a lattice body states wrong limits")
    return header, position


def decode_lattice(section: bytes, shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode the values in fixed point, int32 of the valid shape."""
    lattice = tuple(-(-side // 32) * 32 for side in padded_shape)
    header, position = read_header(section)
    weights = []
    for group in range(3):
        has_own = header.flags >> group & 1
        require(position + 33 * has_own <= len(section), "a lattice body is cut short")
        weights.append(read_weights(section[position : position + 33]) if has_own else default_weights())
        position += 33 * has_own

    values = np.zeros(lattice, np.int32)
    anchor_shape = [-(-side // 32) for side in shape]
    reader = BitReader(section[position:])
    code, codes = 0, np.zeros(anchor_shape, np.int64)
    for place in np.ndindex(*anchor_shape):
        folded = reader.read(header.anchor_bits)
        code += -(folded + 1) // 2 if folded % 2 else folded // 2
        codes[place] = max(-MAX_FIXED, min(MAX_FIXED, code))
    widths = [(0, side // 32 - n) for side, n in zip(lattice, anchor_shape, strict=True)]
    values[::32, ::32, ::32] = np.pad(codes << header.fraction_bits, widths, mode="edge")
    position += -(-reader.position // 8)

    reader = BitReader(section[position:])
    ends = read_tables(reader, header)
    position += -(-reader.position // 8)
    n_items = sum(8 * math.prod(side >> level + 1 for side in lattice) for level in range(5))
    stream = read_stream(section[position:], header.n_lanes, 256, 3 * n_items + 33792)
    for level in (4, 3, 2, 1, 0):
        decode_level(values, level, shape, weights[min(level, 2)], ends, stream, header)
    return values[crop(shape)]


@functools.cache
def groups_of(phase: Shape) -> list[list[Shape]]:
    """Offsets of the ten groups of neighbours; those that are not known are empty."""
    known = [(0, 0, 0), *PHASES[: PHASES.index(phase)]]
    box = list(itertools.product(range(-3, 4), repeat=3))
    kinds = [[o for o in box if np.abs(o).tolist() == n] for n in np.eye(3, dtype=int).tolist()]
    kinds += [[o for o in box if np.abs(o).tolist() == n] for n in (3 * np.eye(3, dtype=int)).tolist()]
    kinds += [[o for o in box if np.abs(o).tolist() == n] for n in (1 - np.eye(3, dtype=int)).tolist()]
    kinds += [[o for o in box if np.abs(o).tolist() == [1, 1, 1]]]
    return [offsets if tuple(np.add(phase, offsets[0]) % 2) in known else [] for offsets in kinds]


def default_weights() -> np.ndarray:
    """Weights where none are stored."""
    weights = np.zeros((7, 10), np.int32)
    for row, phase in zip(weights, PHASES, strict=True):
        axes = [axis for axis in range(3) if phase[axis]]
        for axis in axes:
            row[axis], row[3 + axis] = 72 // len(axes), -(8 // len(axes))
        row[axes[0]] += 64 - row.sum()
    return weights


def read_weights(section: bytes) -> np.ndarray:
    """Stored weights of a group of levels."""
    weights, stored = np.zeros((7, 10), np.int32), iter(np.frombuffer(section, np.int8))
    for row, phase in zip(weights, PHASES, strict=True):
        first, *others = (group for group, offsets in enumerate(groups_of(phase)) if offsets)
        for group in others:
            row[group] = next(stored)
        row[first] = 64 - row.sum()
    return weights


def read_tables(reader: BitReader, header: Header) -> list[list[int]]:
    """Read the tables, and return where the slots of each token end, for each context (888, 64)."""
    require(1 <= header.n_tables <= 160, "a lattice body has a wrong number of tables")
    starts, tables = [], []
    for _ in range(header.n_tables):
        starts.append(reader.read(10))
        n_hazards = reader.read(5)
        require(n_hazards > 0, "a table of a lattice body has no share")
        negative = ODDS[reader.read(5)]
        shares, left = np.zeros(64), 1.0
        for number in range(n_hazards + 1):
            hazard = ODDS[reader.read(5)] if number < n_hazards else 1.0
            if number == 0:
                shares[0] = left * hazard
            else:
                shares[2 * number - 1] = left * hazard * negative
                shares[2 * number] = left * hazard * (1 - negative)
            left *= 1 - hazard
        shares = np.floor(shares * 2.0**30)
        shares[63] = 2.0**14
        tables.append(to_frequencies(shares))
    require(
        starts[0] == 0 and starts[-1] < N_CONTEXTS, "the tables of a lattice body begin at wrong contexts"
    )
    require(
        all(a < b for a, b in itertools.pairwise(starts)), "the tables of a lattice body are not in order"
    )
    ends = slot_ends(np.array(tables))
    return [ends[bisect_right(starts, merged(context, header.flags)) - 1] for context in range(N_CONTEXTS)]


def merged(context: int, flags: int) -> int:
    """Context as which a context counts."""
    if context >= FIRST_FLAG_CONTEXT:
        return FIRST_FLAG_CONTEXT + (context - FIRST_FLAG_CONTEXT) % 8 if flags & 8 else context
    group, rest = divmod(context, 288)
    return (0 if flags & 8 else group * 288) + (rest % 96 if flags & 16 else rest)


def decode_level(
    values: np.ndarray,
    level: int,
    shape: Shape,
    weights: np.ndarray,
    ends: list[list[int]],
    stream: Stream,
    header: Header,
) -> None:
    """Decode the points of a level, in place."""
    stride, step, group = 1 << level, 1 << header.fraction_bits, min(level, 2)
    points = values[::stride, ::stride, ::stride]
    magnitudes = np.zeros(points.shape, np.int64)

    even = points[::2, ::2, ::2]
    cells = [-(-side // 4) for side in even.shape]
    padded = np.pad(even, [(0, 4 * n - side) for n, side in zip(cells, even.shape, strict=True)], mode="edge")
    padded = padded.reshape(cells[0], 4, cells[1], 4, cells[2], 4)
    spread = padded.max((1, 3, 5)) - padded.min((1, 3, 5))
    context = sum((spread >= max((limit * step) >> 2, 1)).astype(int) for limit in RANGES)
    inside = valid(even.shape, (0, 0, 0), level, shape)[::4, ::4, ::4]
    flags = take_codes(stream, ends[FIRST_FLAG_CONTEXT + 8 * group :], context, inside) > 0
    is_open = flags.repeat(4, 0).repeat(4, 1).repeat(4, 2)[crop(even.shape)]

    for number, phase in enumerate(PHASES):
        own = tuple(slice(parity, None, 2) for parity in phase)
        predicted, near = predict(points, phase, weights[number], header)
        total = sum(weight * len(arrays) for weight, arrays, _ in near)
        activity = sum(weight * abs(arrays - predicted).sum(0) for weight, arrays, _ in near)
        size = sum(weight * at(magnitudes, phase, group).sum(0) for weight, _, group in near)
        quiet = sum((activity >= max((limit * total * step) >> 5, 1)).astype(int) for limit in ACTIVITIES)
        large = sum((size >= -(-limit * total // 64)).astype(int) for limit in MAGNITUDES)
        context = 96 * (sum(phase) - 1) + 16 * large + np.where(large % 2 == 1, 15 - quiet, quiet)
        coded = is_open & valid(even.shape, phase, level, shape)
        codes = take_codes(stream, ends[288 * group :], context, coded)
        points[own] = (predicted + codes * step).astype(np.int32)
        magnitudes[own] = np.minimum(abs(codes), 255)


def predict(points: np.ndarray, phase: Shape, weights: np.ndarray, header: Header) -> tuple[np.ndarray, list]:
    """Predict the points of a phase.

    Returns:
        The predictions; and of the groups that enter the context the weights, the values and the numbers.
    """
    total, near = 0, []
    for group, offsets in enumerate(groups_of(phase)):
        if not offsets:
            continue
        arrays = at(points, phase, group).astype(np.int64)
        total = total + (8 // len(arrays)) * int(weights[group]) * arrays.sum(0)
        if group not in (3, 4, 5):
            near.append(({2: 3, 4: 2, 8: 1}[len(arrays)], arrays, group))
    wrapped = (total + 256).astype(np.int32)
    return np.clip(wrapped >> 9, header.low, header.high).astype(np.int64), near


def at(points: np.ndarray, phase: Shape, group: int) -> np.ndarray:
    """Points of a level at each offset of a group from those of a phase: (offsets, z, y, x)."""
    return points[places(points.shape, phase, group)]


@functools.cache
def places(sides: Shape, phase: Shape, group: int) -> tuple[np.ndarray, ...]:
    """Places of the points at the offsets of a group from those of a phase, mirrored at the ends."""
    axes = []
    for axis, (parity, side) in enumerate(zip(phase, sides, strict=True)):
        steps = np.array([offset[axis] for offset in groups_of(phase)[group]])
        place = np.arange(parity, side, 2) + steps[:, None]
        number, n = place // 2, side // 2
        number = np.where(number < 0, -1 - number, np.where(number >= n, 2 * n - 1 - number, number))
        axes.append(2 * np.clip(number, 0, n - 1) + place % 2)
    z, y, x = axes
    return z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]


def valid(sides: Shape, phase: Shape, level: int, shape: Shape) -> np.ndarray:
    """Points of a phase that lie in the volume."""
    axes = [
        (2 * np.arange(n) + parity << level) < side
        for n, parity, side in zip(sides, phase, shape, strict=True)
    ]
    return axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]


def take_codes(stream: Stream, ends: list[list[int]], context: np.ndarray, coded: np.ndarray) -> np.ndarray:
    """Take the codes of a pass, int64; 0 where none is coded."""
    codes, n_lanes = np.zeros(coded.shape, np.int64), len(stream.states)
    rows = context[coded].tolist()
    codes[coded] = [stream.take_integer(item % n_lanes, ends[row]) for item, row in enumerate(rows)]
    return codes
