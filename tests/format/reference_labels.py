"""Labels: section 13.6 of ``FORMAT.md``."""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from reference_common import Shape, decompress, require, take_varints, unpack
from reference_streams import Stream, read_stream

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
FIRST = (13107, 6554, 3277, 1311)
N_KNOWN = (0, 4, 4, 8)


class Counts:
    """Totals and ones of contexts, by their names."""

    def __init__(self) -> None:
        self.counts: dict[tuple, list[int]] = {}

    def probability(self, context: tuple, first: int, weight: int) -> int:
        """Probability of the answer yes, in 1/65536."""
        total, ones = self.counts.get(context, [0, 0])
        shift = max(0, total.bit_length() - 15)
        return (65536 * (ones >> shift) + weight * first) // ((total >> shift) + weight)

    def add(self, context: tuple, answer: bool) -> None:
        """Count an answer."""
        count = self.counts.setdefault(context, [0, 0])
        count[0] += 1
        count[1] += answer


class Item(NamedTuple):
    """An item of a batch, before it is decoded."""

    ends: tuple[int, int, int]
    y: int
    x: int
    contexts: tuple[tuple, ...]
    candidates: tuple[int, ...]


def passes() -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield the distance, the class and the voxels of each pass."""

    def voxels(y: int, x: int, stride: int) -> list[tuple[int, int]]:
        return [(i, j) for i in range(y, 16, stride) for j in range(x, 16, stride)]

    yield 1, 0, [(0, 0)]
    for d in (8, 4, 2):
        yield d, 1, voxels(d, d, 2 * d)
        yield d, 2, voxels(0, d, 2 * d) + voxels(d, 0, 2 * d)
    yield from ((1, 1, voxels(1, 1, 2)), (1, 2, voxels(0, 1, 2)), (1, 3, voxels(1, 0, 2)))


def clip(probability: int) -> int:
    """Limit a probability so that three symbols can share it."""
    return min(max(probability, 3), 65533)


class LabelDecoder:
    """Decoder of the slices of a volume.

    Args:
        stream: of the labels.
        n_labels: number of labels.
        valid: sides Y and X.
        padded: enlarged sides.
        escaped: ranks of the escaped labels.
    """

    def __init__(self, stream: Stream, n_labels: int, valid: Shape, padded: Shape, escaped: bytes) -> None:
        self.stream, self.n_labels, self.valid, self.padded = stream, n_labels, valid, padded
        self.escaped, self.n_taken, self.counts = escaped, 0, Counts()
        self.earlier, self.before, self.current = (np.zeros(padded, np.int64) for _ in range(3))
        self.marked = np.zeros([side // 16 for side in padded], bool)

    def take_batch(self, items: list[Item | None]) -> list[int]:
        """Decode a batch; None stands for an item that is not coded."""
        n_lanes, symbols = len(self.stream.states), [0] * len(items)
        for start in range(0, len(items), n_lanes):
            lanes = [i for i, item in enumerate(items[start : start + n_lanes]) if item]
            for lane in lanes:
                item, state = items[start + lane], int(self.stream.states[lane])
                assert item is not None
                bounds = (0, *item.ends, 65536)
                slot = state & 65535
                symbol = next(t for t in range(4) if bounds[t + 1] > slot)
                size = bounds[symbol + 1] - bounds[symbol]
                self.stream.states[lane] = size * (state >> 16) + slot - bounds[symbol]
                self.stream.refill(lane)
                symbols[start + lane] = symbol
        for item, symbol in zip(items, symbols, strict=True):
            for least, context in zip((0, 0, 1, 2), item.contexts if item else (), strict=False):
                if symbol >= least:
                    self.counts.add(context, symbol > least)
        return symbols

    def decode_slice(self, *, repeats: bool) -> np.ndarray:
        """Decode the next slice."""
        self.earlier, self.before, self.current = self.before, self.current, self.current.copy()
        if repeats:
            self.marked = np.zeros_like(self.marked)
            return self.current
        self.decode_marks()
        corners = [(16 * int(i), 16 * int(j)) for i, j in np.argwhere(self.marked)]
        for distance, known, voxels in passes():
            places = [(i + y, j + x) for i, j in corners for y, x in voxels]
            for start in range(0, len(places), 128):
                self.decode_voxels(places[start : start + 128], distance, known)
        return self.current

    def decode_marks(self) -> None:
        """Decode which blocks differ from the slice before."""
        was, grid = np.pad(self.marked, 1).astype(int), self.marked.shape
        blocks = [(i, j) for i in range(grid[0]) for j in range(grid[1])]
        self.marked = np.zeros(grid, bool)
        for start in range(0, len(blocks), 128):
            batch = blocks[start : start + 128]
            symbols = self.take_batch([self.mark_item(i, j, was) for i, j in batch])
            for block, symbol in zip(batch, symbols, strict=True):
                self.marked[block] = symbol > 0

    def mark_item(self, i: int, j: int, was: np.ndarray) -> Item | None:
        """Return the item of a block."""
        y, x = 16 * i, 16 * j
        if y >= self.valid[0] or x >= self.valid[1]:
            return None
        near = self.before[: self.valid[0], : self.valid[1]][max(y - 1, 0) : y + 17, max(x - 1, 0) : x + 17]
        beside = was[i, j + 1] + was[i + 2, j + 1] + was[i + 1, j] + was[i + 1, j + 2]
        context = ("mark", near.min() == near.max(), was[i + 1, j + 1], beside)
        end = 65536 - clip(self.counts.probability(context, 19661, 1))
        return Item((end, 65536, 65536), y, x, (context,), ())

    def decode_voxels(self, places: list[tuple[int, int]], distance: int, known: int) -> None:
        """Decode a batch of voxels."""
        items = [self.voxel_item(y, x, distance, known) for y, x in places]
        for item, symbol in zip(items, self.take_batch(items), strict=True):
            if item is None:
                continue
            label = item.candidates[symbol] if symbol < 3 else self.take_escaped()
            self.current[item.y, item.x] = label

    def take_escaped(self) -> int:
        """Take the next escaped label."""
        require(self.n_taken < len(self.escaped), "there are too few escaped labels")
        self.n_taken += 1
        return self.escaped[self.n_taken - 1]

    def labels_around(self, plane: np.ndarray, y: int, x: int, distance: int) -> list[int]:
        """Return the labels of the eight neighbours."""
        return [plane.item(place) for place in places_around(y, x, distance, self.valid)]

    def voxel_item(self, y: int, x: int, distance: int, known: int) -> Item | None:
        """Return the item of a voxel."""
        if y >= self.valid[0] or x >= self.valid[1]:
            return None
        first_label = int(self.before[y, x])
        current = self.labels_around(self.current, y, x, distance)
        before = self.labels_around(self.before, y, x, 1)
        g, h = ([label == first_label for label in labels] for labels in (current, before))
        history = (first_label == 0, self.earlier[y, x] == first_label)
        missing = (0, 4 - sum(g[4:]), 4 - sum(g[:4]), 8 - sum(g))[known]
        near = ((), g[4:], g[:4], g[:4])[known]
        far = sum(g[4:]) if known == 3 else 0
        axial, diagonal = sum(h[:4]), sum(h[4:])
        broad = ("broad", known, axial + diagonal, missing, *history)
        narrow = ("narrow", known, *near, far, axial, diagonal, *history)
        first = min(FIRST[known] + 58982 * missing // max(N_KNOWN[known], 1), 58982)
        p = clip(self.counts.probability(narrow, self.counts.probability(broad, first, 1), 4))
        end = 65536 - p
        if self.n_labels == 2:
            candidates = (first_label, 1 - first_label)
            return Item((end, 65536, 65536), y, x, (broad, narrow), candidates)

        candidates, contexts, wrong = [first_label], [broad, narrow], []
        for name in ("second", "third"):
            others = [label for label in current + before if label not in candidates]
            smallest = next(label for label in range(3) if label not in candidates)
            label = others[0] if others else smallest
            candidates.append(label)
            contexts.append((name, known, current.count(label), before.count(label)))
            wrong.append(min(self.counts.probability(contexts[-1], 32768, 1), 65535))
        second = 1 + ((p - 3) * (65536 - wrong[0]) >> 16)
        third = 1 + ((p - second - 2) * (65536 - wrong[1]) >> 16)
        ends = (end, end + second, end + second + third)
        return Item(ends, y, x, tuple(contexts), tuple(candidates))


@functools.cache
def places_around(y: int, x: int, distance: int, valid: Shape) -> list[tuple[int, int]]:
    """Return the places of the eight neighbours; those outside are moved to the ends."""
    return [
        (
            min(max(y + i * distance, 0), valid[0] - 1),
            min(max(x + j * distance, 0), valid[1] - 1),
        )
        for i, j in NEIGHBOURS
    ]


def decode_labels(section: bytes, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode labels, int64 of the valid shape."""
    (n_labels,) = unpack("<B", section)
    n_labels += 1
    table = np.frombuffer(section, np.uint8, -1, 1)[:n_labels].astype(np.int64)
    require(len(table) == n_labels, "the table of labels is cut short")
    if n_labels == 1:
        require(len(section) == 2, "bytes are left behind labels")
        return np.full(valid_shape, table[0])
    (axis, n_lanes, n_bytes, n_escaped), start = take_varints(section, 4, 1 + n_labels)
    require(axis & 3 < 3 and axis < 7, "labels state an unknown axis")
    order = [axis & 3, *(i for i in range(3) if i != axis & 3)]
    valid, padded = [valid_shape[i] for i in order], [padded_shape[i] for i in order]
    sides = [-(-side // 16) * 16 for side in padded[1:]]

    repeat_bytes = -(-valid[0] // 8) if axis & 4 else 0
    stream_start = start + repeat_bytes
    end = stream_start + n_bytes
    require(end <= len(section) and n_escaped <= math.prod(valid), "labels are cut short")
    repeats = np.unpackbits(
        np.frombuffer(section, np.uint8, repeat_bytes, start), count=valid[0] if repeat_bytes else 0
    )
    rest = section[end:]
    escaped = rest if len(rest) == n_escaped else decompress("zstd", rest, n_escaped)
    require(max(escaped, default=0) < n_labels, "an escaped label is unknown")

    most_words = 257 * padded[0] * math.prod(sides) // 256 + 384
    stream = read_stream(section[stream_start:end], n_lanes, 32, most_words)
    decoder = LabelDecoder(stream, n_labels, tuple(valid[1:]), tuple(sides), escaped)
    ranks = np.stack(
        [
            decoder.decode_slice(repeats=bool(repeat_bytes and repeats[z]))[: valid[1], : valid[2]]
            for z in range(valid[0])
        ]
    )
    stream.finish()
    require(decoder.n_taken == n_escaped, "labels have too many escaped ones")
    return np.moveaxis(table[ranks], 0, axis & 3)
