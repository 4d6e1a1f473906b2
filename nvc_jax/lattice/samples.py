"""Samples of the points of each phase with the means of their neighbours, from which an encoder plans.

Everything is in integers. Places along z are evenly spread; those along y and x, and the noise, are hashes of
the samples' numbers, so that samples are the same on every machine.
"""

from typing import NamedTuple

import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.geometry import (
    GROUP_OFFSETS,
    KNOWN_GROUPS,
    N_GROUPS,
    N_LEVEL_GROUPS,
    PHASES,
    valid_sides,
)

SAMPLES_PER_ROW = (2000, 1000, 500)
"""Most samples of a row of weights, that is of a phase in each group of levels: of the coarser ones there are
fewer points to gain from."""
ROWS = tuple((level, number) for level in range(N_LEVEL_GROUPS) for number in range(len(PHASES)))
"""Level and phase of the samples of each row. A group of levels is represented by its finest level."""
ROW_STARTS = tuple(np.cumsum([0, *(SAMPLES_PER_ROW[level] for level, _ in ROWS)]).tolist())
"""First sample of each row, and the number of all."""
SUM_BITS = 3
"""Fraction bits of the means of neighbours, whose groups have two, four or eight."""
MAX_SUM = (1 << 23) - 1
"""Limit of the magnitudes of means in fixed point."""
_HASHES_PER_SAMPLE = 16
"""Numbers of a sample's hashes: 1 and 2 for its place along y and x, those from 3 on for the noise."""
_HASH_FACTORS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_HASH_BITS = 24
"""Bits of a hash that are used."""
_NOISE_WIDTHS, _NOISE_BITS = {2: 5793, 4: 4096, 8: 2896}, 10
"""Width of the noise of a mean of so many neighbours, 8 steps over the square root of their number, in steps
over 2**_NOISE_BITS."""


class Samples(NamedTuple):
    """Samples of all rows.

    Attributes:
        targets: int32 (ROW_STARTS[-1],), values of the points in fixed point.
        sums: int32 (ROW_STARTS[-1], N_GROUPS), mean of each known group of neighbours, with SUM_BITS fraction
            bits more; 0 for the other groups.
        counts: int32 (len(ROWS),), samples of each row; behind them there are zeros.
    """

    targets: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    def of_row(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Get the targets, int32 (n,), and the means of the known groups, int32 (n, groups), of a row."""
        part = slice(ROW_STARTS[row], ROW_STARTS[row] + int(self.counts[row]))
        columns = [group.number for group in KNOWN_GROUPS[ROWS[row][1]]]
        return self.targets[part], self.sums[part][:, columns]


def draw_samples(
    fixed: np.ndarray, counted: np.ndarray, shape: Shape3, fraction_bits: int, thinning: int = 0
) -> Samples:
    """Draw samples of the points that count.

    Means get the noise that decoded values have, each of which is off by up to half a step, but for those on
    a plateau: where all neighbours are the same in whole steps.

    Args:
        fixed: int32 lattice, the volume in fixed point.
        counted: bool lattice, values that count.
        shape: of the volume.
        fraction_bits: of the volume; without any, decoded values are exact.
        thinning: binary logarithm of the factor by which there are fewer samples.
    """
    samples = Samples(
        np.zeros(ROW_STARTS[-1], np.int32),
        np.zeros((ROW_STARTS[-1], N_GROUPS), np.int32),
        np.zeros(len(ROWS), np.int32),
    )
    half = (1 << fraction_bits) >> 1
    for row, (level, number) in enumerate(ROWS):
        sides = valid_sides(shape, level, PHASES[number])
        n_samples = min(SAMPLES_PER_ROW[level] >> thinning, int(np.prod(sides)))
        numbers = ROW_STARTS[row] + np.arange(n_samples)
        # Along z they follow each other, so that neighbours of the next ones are in the cache already.
        points = [
            np.arange(n_samples) * sides[0] // max(n_samples, 1),
            *(_hash(numbers, axis) * sides[axis] >> _HASH_BITS for axis in (1, 2)),
        ]
        places = [2 * point + parity for point, parity in zip(points, PHASES[number], strict=True)]
        own = _positions(places, (0, 0, 0), shape, level)
        groups = KNOWN_GROUPS[number]
        offsets = [offset for group in groups for offset in GROUP_OFFSETS[group.number]]
        neighbours = [_positions(places, offset, shape, level) for offset in offsets]
        found = np.stack([fixed[one].astype(np.int64) for one in neighbours])
        rounded = found + half >> fraction_bits
        has_noise = (rounded != rounded[0]).any(0) & (fraction_bits > 0)
        sums, first = np.zeros((len(numbers), N_GROUPS), np.int32), 0
        for group in groups:
            n = len(group.neighbours)
            noise = has_noise * _noise(numbers, group.number, n, fraction_bits)
            scaled = found[first : first + n].sum(0) * ((1 << SUM_BITS) // n)
            sums[:, group.number] = np.clip(scaled + noise, -MAX_SUM, MAX_SUM)
            first += n
        targets, valid = fixed[own], counted[own]
        n, start = int(np.count_nonzero(valid)), ROW_STARTS[row]
        samples.targets[start : start + n] = targets[valid]
        samples.sums[start : start + n] = sums[valid]
        samples.counts[row] = n
    return samples


def _positions(places: list[np.ndarray], offset: tuple[int, ...], shape: Shape3, level: int) -> tuple:
    """Positions in the volume of samples' neighbours at an offset, mirrored at the ends.

    Places and offsets count in the level's distances.
    """
    positions = []
    for place, step, side in zip(places, offset, shape, strict=True):
        last = (side - 1) >> level
        moved = np.abs(place + step)
        mirrored = np.where(moved > last, 2 * last - moved, moved)
        positions.append(np.clip(mirrored, 0, last) << level)
    return tuple(positions)


def _noise(numbers: np.ndarray, group: int, n_neighbours: int, fraction_bits: int) -> np.ndarray:
    """Draw the noise of samples' means of a group, int64."""
    width = (_NOISE_WIDTHS[n_neighbours] << fraction_bits) >> _NOISE_BITS
    return (_hash(numbers, 3 + group) * width >> _HASH_BITS) - (width >> 1)


def _hash(numbers: np.ndarray, which: int) -> np.ndarray:
    """Hash of samples' numbers, int64 below 2**_HASH_BITS."""
    value = (numbers * _HASHES_PER_SAMPLE + which).astype(np.uint32)
    for factor, shift in zip(_HASH_FACTORS, (15, 13, 16), strict=True):
        value = value * np.uint32(factor)
        value ^= value >> np.uint32(shift)
    return (value >> np.uint32(32 - _HASH_BITS)).astype(np.int64)
