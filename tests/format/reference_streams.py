"""Entropy-coded streams: sections 9 and 10 of ``FORMAT.md``."""

import functools
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
from reference_common import require, take_varints

# 9 Entropy-coded streams


GROUP_LANES = 32
"""Lanes of a group, which share a pool."""


class Stream:
    """The states of a stream's lanes, and the words that are left in the pools of their groups.

    Attributes:
        states: the state of each lane.
        pools: for each group its words, the next one last.
    """

    def __init__(self, words: np.ndarray, group_words: Sequence[int], n_lanes: int) -> None:
        ends = np.cumsum(group_words)
        self.pools = [words[end - n : end].tolist() for n, end in zip(group_words, ends, strict=True)]
        self.states = [0] * n_lanes
        for lane in range(n_lanes):
            low = self.take_word(lane)
            self.states[lane] = self.take_word(lane) << 16 | low

    def take_word(self, lane: int) -> int:
        """Take the last word of the pool of a lane's group."""
        pool = self.pools[lane // GROUP_LANES]
        require(len(pool) > 0, "a stream has too few words")
        return pool.pop()

    def refill(self, lane: int) -> None:
        """Let a lane take a word if its state is too low."""
        if self.states[lane] < 1 << 16:
            self.states[lane] = self.states[lane] << 16 | self.take_word(lane)

    def remove_token(self, lane: int, ends: Sequence[int]) -> int:
        """Take a token in a lane, by the ends of the tokens' slots (64), without refilling."""
        state = self.states[lane]
        slot = state & 4095
        token = bisect_right(ends, slot)
        start = ends[token - 1] if token > 0 else 0
        self.states[lane] = (ends[token] - start) * (state >> 12) + slot - start
        return token

    def take_token(self, lane: int, ends: Sequence[int]) -> int:
        """Take a token in a lane, by the ends of the tokens' slots (64)."""
        token = self.remove_token(lane, ends)
        self.refill(lane)
        return token

    def take_bits(self, lane: int, n_bits: int) -> int:
        """Take at most 16 bits in a lane."""
        bits = self.states[lane] & ((1 << n_bits) - 1)
        self.states[lane] >>= n_bits
        self.refill(lane)
        return bits

    def take_integer(self, lane: int, ends: Sequence[int]) -> int:
        """Take an integer in a lane, by the ends of the tokens' slots (64)."""
        token = self.take_token(lane, ends)
        sign = -1 if token % 2 == 1 else 1
        if token < 17:
            return sign * ((token + 1) // 2)
        n_bits, bits = 24 if token == 63 else (token - 17) // 2, 0
        if n_bits > 0:
            bits = self.take_bits(lane, min(n_bits, 16))
        if n_bits > 16:
            bits |= self.take_bits(lane, n_bits - 16) << 16
        return bits - (1 << 23) if token == 63 else sign * ((1 << n_bits) + 8 + bits)

    def finish(self) -> None:
        """Check that the stream ends as every encoder ends it (9.6)."""
        ends_well = not any(self.pools) and all(state == 1 << 16 for state in self.states)
        require(ends_well, "a stream does not end as it must")


def read_stream(section: bytes, n_lanes: int, most_lanes: int, most_words: int) -> Stream:
    """Read a stream (9.1) that takes a whole section.

    Args:
        section: its bytes.
        n_lanes: number of lanes, which is stated before it.
        most_lanes: largest number of lanes.
        most_words: largest number of words.
    """
    require(1 <= n_lanes <= most_lanes, f"a stream has {n_lanes} lanes; it may have {most_lanes}")
    is_whole = n_lanes <= GROUP_LANES or n_lanes % GROUP_LANES == 0
    require(is_whole, f"a stream has {n_lanes} lanes, which are not whole groups")
    stated, start = take_varints(section, -(-n_lanes // GROUP_LANES) - 1)
    used, rest = divmod(len(section) - start, 2)
    require(rest == 0, "a stream ends within a word")
    require(used <= most_words, f"a stream has {used} words; it may have {most_words}")
    group_words = [*stated, used - sum(stated)]
    require(min(group_words) >= 2 * min(n_lanes, GROUP_LANES), "a group of lanes has too few words")
    return Stream(np.frombuffer(section, "<u2", used, start), group_words, n_lanes)


def open_stream(section: bytes, n_lanes: int, n_blocks: int, n_symbols: int) -> Stream:
    """Read a stream of blocks.

    Args:
        section: its bytes.
        n_lanes: number of lanes.
        n_blocks: blocks that the stream may hold, for the limits of 9.6.
        n_symbols: symbols of each of them.
    """
    most_lanes = max(1, n_blocks // 8, min(n_blocks // 2, 512))
    if most_lanes > GROUP_LANES:
        most_lanes -= most_lanes % GROUP_LANES
    return read_stream(section, n_lanes, most_lanes, 3 * n_blocks * n_symbols + 12 * most_lanes)


def slot_ends(tables: np.ndarray) -> list[list[int]]:
    """Return where the slots of each token end, for tables (n, 64) of frequencies."""
    return np.cumsum(tables, axis=1, dtype=np.int64).tolist()


def share_out(n_items: int, n_lanes: int) -> Iterator[list[tuple[int, int]]]:
    """Yield, for each step, the lanes that take part, each with its item."""
    run = -(-n_items // n_lanes)
    for step in range(run):
        pairs = ((lane, lane * run + step) for lane in range(n_lanes))
        yield [(lane, item) for lane, item in pairs if item < n_items]


# 10 Geometric streams

CUBE_ROOTS = (1.0, 1.5874010519681994, 2.519842099789747)
"""4 to the power of 0, 1/3 and 2/3."""
MEANS = [math.ldexp(CUBE_ROOTS[(j - 12) % 3], 2 * ((j - 12) // 3)) for j in range(32)]
"""Mean magnitude of each table."""
EXPECTED = [max(round(256 * mean), 1) for mean in MEANS]
"""Mean magnitude of each table in units of 1/256."""
RATIOS = [round(CUBE_ROOTS[k % 3] * 4.0 ** (k // 3) * 4096 / 1.2599210498948732) for k in range(-8, 9)]
"""Ratios of a sum to what was expected from which on the table shifts, in units of 1/4096."""
MAX_SUM = 1 << 26


@functools.cache
def geometric_tables() -> np.ndarray:
    """Return the 32 tables of 64 frequencies (10.1)."""
    tables = np.zeros((32, 64), np.int64)
    tokens = np.arange(63)
    counts = np.where(tokens < 17, 1, 2 ** (np.maximum(tokens - 17, 0) // 2))
    smallest = np.where(tokens < 17, (tokens + 1) // 2, counts + 8)
    for j, mean in enumerate(MEANS):
        decay = (math.sqrt(1 + mean * mean) - 1) / mean
        shares = power(decay, smallest) * (1 - power(decay, counts)) / (1 + decay)
        shares[0] = (1 - decay) / (1 + decay)
        units = np.where(shares < 2.0**-24, 0, np.floor(shares * 2.0**30))
        tables[j] = to_frequencies(np.append(units, 2.0**16))
    return tables


def power(base: float, exponents: np.ndarray) -> np.ndarray:
    """Raise a number to powers that are integers, by repeated squaring."""
    result = np.ones(len(exponents))
    for bit in range(int(exponents.max()).bit_length()):
        result = np.where(exponents >> bit & 1, result * base, result)
        base = base * base
    return result


def to_frequencies(shares: np.ndarray) -> np.ndarray:
    """Turn shares (64,) into integer frequencies that sum to 4096."""
    exact = shares / shares.sum() * 4096
    least = (shares > 0).astype(np.int64)
    frequencies = np.maximum(np.floor(exact).astype(np.int64), least)
    while (total := frequencies.sum()) != 4096:
        ratio = exact / np.maximum(frequencies, 1)
        if total < 4096:
            frequencies[np.argmax(ratio)] += 1
        else:
            frequencies[np.argmin(np.where(frequencies > least, ratio, np.inf))] -= 1
    return frequencies


def first_sum(scales: Sequence[int]) -> int:
    """Return the sum that each block begins with (10.2)."""
    return min(max(sum(EXPECTED[scale] for scale in scales) >> 6, 128), MAX_SUM)


def thresholds(scales: Sequence[int], dimension: int) -> list[int]:
    """Return the sums from which on a dimension's table shifts (10.2)."""
    before = sum(EXPECTED[scale] for scale in scales[:dimension])
    base = min(first_sum(scales) + before, MAX_SUM)
    return [(base >> 12) * ratio + ((base & 4095) * ratio >> 12) for ratio in RATIOS]


def choose_table(scale: int, total: int, limits: Sequence[int]) -> int:
    """Return the number of the table for a block's sum (10.2)."""
    return min(max(scale + bisect_right(limits, total) - 9, 0), 31)


def decode_geometric_stream(stream: Stream, scales: Sequence[int], n_blocks: int) -> np.ndarray:
    """Decode integers (blocks, dimensions)."""
    integers = np.zeros((n_blocks, len(scales)), np.int64)
    limits = [thresholds(scales, dimension) for dimension in range(len(scales))]
    ends = slot_ends(geometric_tables())
    for pairs in share_out(n_blocks, len(stream.states)):
        sums = [first_sum(scales)] * len(stream.states)
        for dimension, scale in enumerate(scales):
            for lane, block in pairs:
                table = choose_table(scale, sums[lane], limits[dimension])
                integer = stream.take_integer(lane, ends[table])
                integers[block, dimension] = integer
                sums[lane] = min(sums[lane] + 256 * min(abs(integer), 1 << 18), MAX_SUM)
    stream.finish()
    return integers
