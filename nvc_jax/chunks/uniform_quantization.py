"""Values to integers and back: exactly, or to the nearest point of a lattice within a bound.

All on the host, in integers and in float64 operations that IEEE 754 rounds correctly: the same values on
every machine.
"""

import math

import numpy as np

MAX_POINTS = 1 << 52
"""Most lattice points within a range: float64 tells them apart."""


def to_ordered(values: np.ndarray) -> np.ndarray:
    """Integers, int64, in the order of the values, one for each bit pattern: −0 comes before 0."""
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    bits = values.view(f"i{values.dtype.itemsize}").astype(np.int64)
    magnitude = np.int64((1 << (8 * values.dtype.itemsize - 1)) - 1)
    return np.where(bits < 0, bits ^ magnitude, bits)


def from_ordered(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of ``to_ordered``."""
    if dtype.kind != "f":
        return integers.astype(dtype)
    magnitude = np.int64((1 << (8 * dtype.itemsize - 1)) - 1)
    bits = np.where(integers < 0, integers ^ magnitude, integers)
    return bits.astype(f"i{dtype.itemsize}").view(dtype)


def rounding_error(dtype: np.dtype, magnitude: float) -> float:
    """Most that rounding a number of at most that magnitude to ``dtype`` changes it."""
    if dtype.kind != "f":
        return 0.5
    with np.errstate(over="ignore"):
        return float(np.spacing(dtype.type(magnitude))) / 2


def lattice_spacing(dtype: np.dtype, low: float, high: float, max_error: float) -> float | None:
    """The widest spacing of a lattice that keeps values in [low, high] within ``max_error``, or None.

    For integers a whole number.
    """
    if dtype.kind != "f":
        return 2.0 * math.floor(max_error) + 1
    # What float64 and the dtype round away comes on top of half a spacing.
    magnitude = max(abs(low), abs(high)) + max_error
    spacing = 2 * (max_error - rounding_error(dtype, magnitude) - 8 * float(np.spacing(magnitude)))
    if not spacing > max_error or not (high - low) / spacing < MAX_POINTS:
        return None
    return spacing


def to_lattice(values: np.ndarray, low: float, spacing: float) -> np.ndarray:
    """The number, int64, of the lattice point next to each value; ``low`` is point 0."""
    if values.dtype.kind != "f":
        return (values.astype(np.int64) - int(low) + int(spacing) // 2) // int(spacing)
    return np.rint((values.astype(np.float64) - low) / spacing).astype(np.int64)


def from_lattice(points: np.ndarray, low: float, spacing: float, dtype: np.dtype) -> np.ndarray:
    """The values of lattice points, in ``dtype``: the inverse of ``to_lattice`` within half a spacing.

    Raises:
        ValueError: the lattice is none of ``dtype``'s values.
    """
    if not (math.isfinite(low) and math.isfinite(spacing) and spacing > 0):
        raise ValueError(f"a lattice begins at {low} with a spacing of {spacing}")
    if dtype.kind != "f":
        if max(abs(low), spacing) >= 2**62:
            raise ValueError(f"a lattice of {dtype} begins at {low} with a spacing of {spacing}")
        limits = np.iinfo(dtype)
        return np.clip(points * int(spacing) + int(low), limits.min, limits.max).astype(dtype)
    with np.errstate(over="ignore"):
        return round_to(low + points * spacing, dtype)


def round_to(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values rounded to ``dtype``; what it does not hold to its ends, NaN to anything."""
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return np.clip(values, -limit, limit).astype(dtype)
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
