"""Plan of a stream: its prediction weights, fitted to samples of the volume, and what it will cost."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from nvc_jax.core.aligned_arrays import empty_aligned, is_aligned, zeros_aligned
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.lattice import native_programs
from nvc_jax.lattice.estimate import COST_BITS, Counts, count_codes
from nvc_jax.lattice.geometry import N_LEVEL_GROUPS, PHASES, lattice_shape, valid_sides
from nvc_jax.lattice.native_values import Floats, find_in_floats
from nvc_jax.lattice.samples import ROWS, draw_samples
from nvc_jax.lattice.weight_fit import fit_rows
from nvc_jax.lattice.weights import BYTES_PER_LEVEL_GROUP, default_rows
from nvc_jax.native.dispatch import runs_kernels

MAX_FIXED = 1 << 20
"""Limit of the magnitudes of values in fixed point."""
MAX_FRACTION_BITS = 6
"""Most fraction bits."""
_LEAST_SAVING = 1.5
"""Bits that fitted weights must save for each bit that they take."""


class Findings(NamedTuple):
    """Weights fitted to samples, and what they gain.

    Attributes:
        rows: int32 (len(ROWS), N_GROUPS), fitted weights.
        by_default, by_fit: costs and codes of the samples, given the default weights and the fitted ones.
    """

    rows: np.ndarray
    by_default: Counts
    by_fit: Counts


class Lattice(NamedTuple):
    """Values in fixed point on a lattice.

    Attributes:
        values: int32 lattice, on the device; behind the volume there is anything, mostly zeros.
        counted: bool lattice, on the device, values that count.
        low, high: smallest and largest value.
    """

    values: jax.Array
    counted: jax.Array
    low: int
    high: int


@dataclasses.dataclass(frozen=True, eq=False)
class FixedVolume:
    """A volume in fixed point.

    Attributes:
        make_lattice: makes the lattice, when it is needed.
        shape: of the volume.
        fraction_bits: of the values.
        floats: the volume before that, if kernels can look at it; None if not.
    """

    make_lattice: Callable[[], Lattice]
    shape: Shape3
    fraction_bits: int
    floats: Floats | None = None

    @cached_property
    def lattice(self) -> Lattice:
        """The values."""
        return self.make_lattice()


class Plan(NamedTuple):
    """A volume in fixed point that is ready to be coded.

    Attributes:
        volume: the volume.
        weights: for each group of levels int32 (7, N_GROUPS), or None for the default ones.
        counts: costs and codes of samples, given the weights.
    """

    volume: FixedVolume
    weights: list[np.ndarray | None]
    counts: Counts


def fix_volume(
    fixed: np.ndarray,
    fraction_bits: int,
    padded_shape: Shape3,
    valid: np.ndarray | None = None,
    limits: tuple[int, int] | None = None,
) -> FixedVolume:
    """Put a volume in fixed point on a lattice, at once.

    Args:
        fixed: int32 or int64 (z, y, x), magnitudes below MAX_FIXED.
        fraction_bits: decoded values differ from ``fixed`` by at most half of 2**fraction_bits, so by nothing
            for 0; at most MAX_FRACTION_BITS.
        padded_shape: (z, y, x), no smaller than the volume's: the shape that the programs are compiled for.
        valid: bool (z, y, x), values that count; what the others decode to is left to the coder. None if all
            count.
        limits: smallest and largest value, if they are known.

    Raises:
        ValueError: a value or ``fraction_bits`` is beyond its limit.
    """
    if not 0 <= fraction_bits <= MAX_FRACTION_BITS:
        raise ValueError(f"{fraction_bits} fraction bits exceed the limit of {MAX_FRACTION_BITS}")
    lattice = make_lattice(fixed, padded_shape, valid, limits)
    return FixedVolume(lambda: lattice, check_shape(fixed.shape), fraction_bits)


def make_lattice(
    fixed: np.ndarray,
    padded_shape: Shape3,
    valid: np.ndarray | None = None,
    limits: tuple[int, int] | None = None,
) -> Lattice:
    """Put values in fixed point on a lattice; see ``fix_volume``.

    Raises:
        ValueError: a value is beyond its limit.
    """
    low, high = limits or (int(fixed.min()), int(fixed.max()))
    if max(-low, high) >= MAX_FIXED:
        raise ValueError(f"values from {low} to {high} exceed the limits")
    counted = np.ones(fixed.shape, bool) if valid is None else valid
    shape = lattice_shape(padded_shape)
    if fixed.shape == shape and fixed.dtype == np.int32 and is_aligned(fixed):
        return _put(fixed, counted, (low, high))
    return fill_lattice(
        lambda part: np.copyto(part, fixed, casting="unsafe"), padded_shape, counted, (low, high)
    )


def fill_lattice(
    fill: Callable[[np.ndarray], None], padded_shape: Shape3, valid: np.ndarray, limits: tuple[int, int]
) -> Lattice:
    """Put values in fixed point on a lattice by a function that writes them where they are to lie.

    Args:
        fill: takes the part of the lattice, int32 (z, y, x), that the volume is.
        padded_shape: see ``fix_volume``.
        valid: bool (z, y, x), values that count.
        limits: smallest and largest value.
    """
    fixed = _make_lattice(lattice_shape(padded_shape), np.dtype(np.int32), valid.shape)
    fill(fixed[tuple(map(slice, valid.shape))])
    return _put(fixed, valid, limits)


def _make_lattice(shape: Shape3, dtype: np.dtype, filled: tuple[int, ...]) -> np.ndarray:
    """Make a lattice whose first voxels, of the shape ``filled``, will be written; the others are 0."""
    make = empty_aligned if filled == shape else zeros_aligned
    return make(shape, dtype)


def _put(fixed: np.ndarray, valid: np.ndarray, limits: tuple[int, int]) -> Lattice:
    """Put values on the device, int32 lattice; those behind ``valid`` do not count."""
    counted = valid
    if valid.shape != fixed.shape or not is_aligned(valid):
        counted = _make_lattice(check_shape(fixed.shape), valid.dtype, valid.shape)
        counted[tuple(map(slice, valid.shape))] = valid
    # Programs that plan and code take them several times.
    on_device, counted_there = jax.device_put((fixed, counted))
    return Lattice(on_device, counted_there, *limits)


def plan_stream(volume: FixedVolume, thinning: int = 0) -> Plan:
    """Plan the stream of a volume, where possible without its lattice.

    Args:
        volume: the volume.
        thinning: binary logarithm of the factor by which there are fewer samples: for a quick look.
    """
    if volume.floats is None:
        found = find(volume, thinning)
    else:
        found = _findings(*find_in_floats(volume.floats, volume.fraction_bits, thinning))
    return Plan(volume, *_choose(found, volume.shape))


def _choose(found: Findings, shape: Shape3) -> tuple[list[np.ndarray | None], Counts]:
    """Choose fitted weights for each group of levels, or None where the default ones do as well.

    Returns:
        The weights, and the counts of those of the finest levels.
    """
    saved = (found.by_default.costs.astype(np.int64) - found.by_fit.costs) / (1 << COST_BITS)
    saved *= _points_of_rows(shape) / np.maximum(found.by_fit.n_samples, 1)
    rows_of_groups = found.rows.reshape(N_LEVEL_GROUPS, -1, found.rows.shape[1])
    bits_of_groups = saved.reshape(N_LEVEL_GROUPS, -1).sum(axis=1).tolist()
    weights = [
        rows if bits > 8 * BYTES_PER_LEVEL_GROUP * _LEAST_SAVING else None
        for rows, bits in zip(rows_of_groups, bits_of_groups, strict=True)
    ]
    return weights, found.by_default if weights[0] is None else found.by_fit


@functools.lru_cache(maxsize=64)
def _points_of_rows(shape: Shape3) -> np.ndarray:
    """Count the points of a volume in the phase of each row; int64 (len(ROWS),)."""
    return np.array([math.prod(valid_sides(shape, level, PHASES[number])) for level, number in ROWS])


def find(volume: FixedVolume, thinning: int = 0, *, by_kernel: bool | None = None) -> Findings:
    """Draw samples, fit weights to them and count their codes.

    Args:
        volume: the volume.
        thinning: see ``plan_stream``.
        by_kernel: whether to use the kernel; by default where there is one.
    """
    fraction_bits, lattice = volume.fraction_bits, volume.lattice
    if runs_kernels() if by_kernel is None else by_kernel:
        numbers = (np.array(volume.shape, np.int32), np.int32(fraction_bits), np.int32(thinning))
        found = _find_by_kernel(*jax.device_put((lattice.values, lattice.counted, *numbers)))
        return _findings(*map(np.asarray, found))
    arrays = (np.asarray(lattice.values), np.asarray(lattice.counted))
    samples = draw_samples(*arrays, volume.shape, fraction_bits, thinning)
    rows = fit_rows(samples, fraction_bits)
    default = default_rows()
    return Findings(rows, *(count_codes(samples, weights, fraction_bits) for weights in (default, rows)))


def _findings(
    rows: np.ndarray, n_samples: np.ndarray, costs: np.ndarray, histograms: np.ndarray, squared: np.ndarray
) -> Findings:
    """Put together what a kernel has found."""
    fields = zip(costs, histograms, squared, strict=True)
    return Findings(rows, *(Counts(n_samples, *of_weights) for of_weights in fields))


_find_by_kernel = jax.jit(native_programs.find)
