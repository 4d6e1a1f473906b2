"""Samples of the points of a phase with the means of their neighbours, for fits and estimates."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nvc_jax.lattice.geometry import GROUP_OFFSETS, KNOWN_GROUPS, PHASES


class PhaseSample(NamedTuple):
    """Sample of n points of a phase, with its g groups of known neighbours.

    Attributes:
        targets: float32 (n,), values of the points, in steps above the origin.
        means: float32 (n, g), mean of each group of neighbours, in steps above the origin.
        n_points: about the number of the volume's points that the sample stands for.
    """

    targets: np.ndarray
    means: np.ndarray
    n_points: float


def draw_phase(
    values: np.ndarray,
    valid: np.ndarray,
    number: int,
    level: int,
    most: int,
    rng: np.random.Generator,
    *,
    origin: float = 0.0,
    step: float = 1.0,
    is_rounded: bool = False,
    with_valid_neighbours: bool = False,
) -> PhaseSample:
    """Draw points of a phase that count.

    Args:
        values: (z, y, x), any real dtype.
        valid: bool (z, y, x), values that count.
        number: of the phase, an index of PHASES.
        level: of the points.
        most: limit of the number of points that are drawn.
        rng: source of the random places.
        origin: of the values of the sample, so that float32 holds their differences.
        step: unit of the values of the sample.
        is_rounded: whether the neighbours are rounded to whole steps, about as decoded ones are.
        with_valid_neighbours: whether only points count whose neighbours all count.
    """
    counts = [
        max(0, -(-(side - (parity << level)) // (2 << level)))
        for side, parity in zip(values.shape, PHASES[number], strict=True)
    ]
    n_points = int(np.prod(counts))
    n = min(most, n_points)
    places = [
        2 * rng.integers(0, max(1, count), n) + parity
        for count, parity in zip(counts, PHASES[number], strict=True)
    ]
    flat, flat_valid = values.reshape(-1), valid.reshape(-1)
    index = _flat_indices(places, values.shape, level)

    def values_at(indices: np.ndarray) -> np.ndarray:
        return (flat[indices].astype(np.float64) - origin) / step

    decode = np.rint if is_rounded else np.asarray
    own = index((0, 0, 0))
    counted = flat_valid[own]
    n_valid = n_points * counted.sum() / max(n, 1)
    means = np.empty((n, len(KNOWN_GROUPS[number])), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # values that do not count may be infinite
        for column, group in zip(means.T, KNOWN_GROUPS[number], strict=True):
            neighbours = [index(offset) for offset in GROUP_OFFSETS[group.number]]
            column[:] = sum(decode(values_at(one)) for one in neighbours) / len(neighbours)
            if with_valid_neighbours:
                counted = np.logical_and.reduce([counted, *(flat_valid[one] for one in neighbours)])
    return PhaseSample(values_at(own[counted]).astype(np.float32), means[counted], n_valid)


def reconstruction_noise(rng: np.random.Generator, n: int, number: int, step: float) -> np.ndarray:
    """Draw the errors that the means of decoded neighbours will have, float32 (n, groups of the phase).

    Args:
        rng: source of the errors.
        n: number of points.
        number: of the phase.
        step: of the codes, in units of the values; decoded values are off by up to half of it.
    """
    sizes = np.array([len(group.neighbours) for group in KNOWN_GROUPS[number]], np.float32)
    errors = rng.random((n, len(sizes)), np.float32) - np.float32(0.5)
    return errors * (np.float32(step) / np.sqrt(sizes))


def _flat_indices(
    places: list[np.ndarray], shape: tuple[int, ...], level: int
) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Make the function from an offset to the flat indices of points' neighbours at this offset.

    Points and offsets count in the level's distances; neighbours beyond the volume are mirrored at its ends.
    """
    axes = []
    for place, side, stride in zip(places, shape, (shape[1] * shape[2], shape[2], 1), strict=True):
        last = (side - 1) >> level
        moved = np.abs(place + np.arange(-3, 4)[:, None])
        mirrored = np.clip(np.where(moved > last, 2 * last - moved, moved), 0, last)
        axes.append((mirrored << level) * stride)
    return lambda offset: sum(axis[3 + step] for axis, step in zip(axes, offset, strict=True))
