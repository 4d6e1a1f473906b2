"""What is missing to keep a bound: from a volume, what it decodes to and the bound, to a correction and back.

Knows no network. Whatever the decoder made of a volume, the correction brings every voxel within the bound.

Readers on other devices add and multiply in another order, so that what they decode differs by a few
roundings. So a bound counts as kept only where it is kept for everything within a *reserve* of what was
decoded here: corrected values are moved and rounded monotonically, and it is enough to look at both ends.
"""

from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.uniform_quantization import round_to, rounding_error

_MAX_MULTIPLE = 2.0**40


class Correction(NamedTuple):
    """A correction. Positions are in C order.

    Attributes:
        positions: int64 (n,), of the voxels to change.
        multiples: int64 (n,), how many spacings to add to each, none zero.
        spacing: in the volume's units.
        exact_positions: int64 (m,), of voxels that no multiple of the spacing brings within the bound.
        exact_values: (m,), what those are.
    """

    positions: np.ndarray
    multiples: np.ndarray
    spacing: float
    exact_positions: np.ndarray
    exact_values: np.ndarray


def correct(original: np.ndarray, decoded: np.ndarray, max_error: float, reserve: float) -> Correction | None:
    """The correction that keeps a volume within a bound.

    Args:
        original: (z, y, x), a supported dtype, all values finite.
        decoded: what it was decoded to, before it was rounded to the dtype; float32, if that holds all values
            of the original's dtype, or float64.
        max_error: in the volume's units; not negative.
        reserve: most by which decoding elsewhere differs from ``decoded``.

    Returns:
        The correction; None where the reserve and the dtype's rounding leave too little of the bound.
    """
    dtype = original.dtype
    allowed = max_error - reserve
    if dtype.kind == "f":
        allowed -= rounding_error(dtype, float(np.abs(original).max(initial=0)) + max_error)
    else:  # rounding brings integers back that are within half
        allowed = np.floor(max_error) + 0.5 - reserve
    if not allowed > max_error / 4:
        return None
    # A little less, for the rounding of what follows.
    allowed *= 1 - 2.0**-20
    missing = original.astype(decoded.dtype) - decoded
    wrong = np.flatnonzero(~(np.abs(missing) <= allowed))
    given, found = original.reshape(-1)[wrong], decoded.reshape(-1)[wrong]
    multiples = np.rint((given.astype(np.float64) - found.astype(np.float64)) / (2 * allowed))
    # A decoder that made NaN or worse of a voxel is not to be corrected, but overruled.
    multiples = np.where(np.abs(multiples) < _MAX_MULTIPLE, multiples, 0).astype(np.int64)
    is_within = _is_within(given, _move(found, multiples, 2 * allowed), max_error, reserve)
    moves = is_within & (multiples != 0)
    return Correction(wrong[moves], multiples[moves], 2 * allowed, wrong[~is_within], given[~is_within])


def apply_correction(decoded: np.ndarray, correction: Correction, dtype: np.dtype) -> np.ndarray:
    """The corrected volume in ``dtype``, from what ``correct`` was given or anything within its reserve."""
    values = round_to(decoded, dtype)
    flat = values.reshape(-1)
    moved = _move(decoded.reshape(-1)[correction.positions], correction.multiples, correction.spacing)
    flat[correction.positions] = round_to(moved, dtype)
    flat[correction.exact_positions] = correction.exact_values
    return values


def _move(decoded: np.ndarray, multiples: np.ndarray, spacing: float) -> np.ndarray:
    """``decoded``, in its dtype, with as many spacings added."""
    with np.errstate(over="ignore"):
        return (decoded.astype(np.float64) + multiples * spacing).astype(decoded.dtype)


def _is_within(original: np.ndarray, decoded: np.ndarray, max_error: float, reserve: float) -> np.ndarray:
    """Where everything within the reserve of ``decoded`` rounds to values within the bound."""
    exact = original.astype(np.float64)
    within = np.isfinite(decoded)
    # What is added to other numbers may be rounded the other way.
    with np.errstate(invalid="ignore"):
        reach = reserve + np.abs(np.spacing(decoded)).astype(np.float64)
    for end in (-reach, reach):
        rounded = round_to(decoded.astype(np.float64) + end, original.dtype)
        within &= np.abs(rounded.astype(np.float64) - exact) <= max_error
    return within
