"""Error-bound enforcement: compute and apply a correction so that every voxel is within ``max_error``.

The correction knows nothing of the decoder that made the values. It moves each voxel that is too far off by a
multiple of one spacing, and states the few values exactly that no multiple brings within the bound.

Readers on other devices add and multiply in another order, so that their decoded values differ by a few
roundings. A bound therefore counts as kept only where it is kept for every value within a *reserve* of the
value decoded here. Moving and rounding are monotonic, so it is enough to check both ends of that interval.
"""

import math
import struct
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.uniform_quantization import round_to_dtype, rounding_error
from nvc_jax.chunks.value_bytes import to_little_endian
from nvc_jax.core.dtypes import is_float
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.sparse_integers import decode_sparse, encode_sparse, find_differing

_MAX_MULTIPLE = 2.0**40
"""Largest multiple that is stored: beyond it, or where the decoder made NaN, the value is stored exactly."""
_MIN_ALLOWED_SHARE = 1 / 4
"""Share of the bound that must be left for the decoder's error: with less nearly all voxels need correcting,
and another way of coding takes fewer bytes."""
_ROUNDING_RESERVE = 2.0**-20
"""Share of the allowed error that is kept back for the rounding of the correction's own arithmetic."""
_SPACINGS = 16
"""Half spacings of a dtype by which the check of corrected values may be off: a few operations, each off by
one at most, with reserve."""
_SPACING = struct.Struct("<d")


class Correction(NamedTuple):
    """A correction of a volume's decoded values; positions are counted in C order.

    Attributes:
        positions: int64 (n,), of the voxels to move, block by block; see ``sparse_integers``.
        multiples: int64 (n,), spacings to add to each, none zero.
        spacing: in the volume's units.
        exact_positions: int64 (m,), of voxels that no multiple of the spacing brings within the bound.
        exact_values: (m,), their values, in the volume's dtype.
    """

    positions: np.ndarray
    multiples: np.ndarray
    spacing: float
    exact_positions: np.ndarray
    exact_values: np.ndarray


def correct(original: np.ndarray, decoded: np.ndarray, max_error: float, reserve: float) -> Correction | None:
    """Compute the correction that keeps a volume within a bound.

    Args:
        original: (z, y, x), a supported dtype, all values finite.
        decoded: decoded values before rounding to the dtype; float32 where that holds all values of the
            original's dtype, else float64.
        max_error: in the volume's units; not negative.
        reserve: largest difference between ``decoded`` and the values that other devices decode.

    Returns:
        The correction; None where the reserve and the dtype's rounding leave too little of the bound.
    """
    allowed = _allowed_error(original, max_error, reserve)
    if not allowed > max_error * _MIN_ALLOWED_SHARE:
        return None
    allowed *= 1 - _ROUNDING_RESERVE

    wrong = find_differing(original, decoded, allowed)
    wanted, wrong_values = (values.reshape(-1).take(wrong) for values in (original, decoded))

    multiples = np.rint(np.subtract(wanted, wrong_values, dtype=np.float64) / (2 * allowed))
    multiples = np.where(np.abs(multiples) < _MAX_MULTIPLE, multiples, 0).astype(np.int64)
    is_within = _is_within(wanted, _move(wrong_values, multiples, 2 * allowed), max_error, reserve)

    moves = is_within & (multiples != 0)
    if moves.all():
        return Correction(wrong, multiples, 2 * allowed, wrong[:0], wanted[:0])
    return Correction(wrong[moves], multiples[moves], 2 * allowed, wrong[~is_within], wanted[~is_within])


def _allowed_error(original: np.ndarray, max_error: float, reserve: float) -> float:
    """Largest error of a decoded value, before it is rounded to the dtype, that needs no correction."""
    if not is_float(original.dtype):
        # Rounding brings a value back to the integer that it is within 0.5 of.
        return float(np.floor(max_error) + 0.5 - reserve)
    return max_error - reserve - rounding_error(original.dtype, _largest_decoded(original, max_error))


def _largest_decoded(original: np.ndarray, max_error: float) -> float:
    """Largest magnitude of values within the bound."""
    return max(-float(original.min(initial=0)), float(original.max(initial=0))) + max_error


def apply_correction(decoded: np.ndarray, correction: Correction, dtype: np.dtype) -> np.ndarray:
    """Correct decoded values and round them to ``dtype``.

    Args:
        decoded: as ``correct`` took it, or any values within its reserve.
        correction: from ``correct``.
        dtype: of the volume.
    """
    values = round_to_dtype(decoded, dtype)
    flat = values.reshape(-1)
    moved = _move(decoded.reshape(-1).take(correction.positions), correction.multiples, correction.spacing)
    flat[correction.positions] = round_to_dtype(moved, dtype)
    flat[correction.exact_positions] = correction.exact_values
    return values


def _move(decoded: np.ndarray, multiples: np.ndarray, spacing: float) -> np.ndarray:
    """Add multiples of the spacing to decoded values, in their dtype."""
    with np.errstate(over="ignore"):
        return (decoded.astype(np.float64) + multiples * spacing).astype(decoded.dtype)


def _is_within(original: np.ndarray, decoded: np.ndarray, max_error: float, reserve: float) -> np.ndarray:
    """Mark the voxels where every value within the reserve of ``decoded`` rounds to one within the bound."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.subtract(original, decoded, dtype=np.float64)
        within = np.abs(errors, out=errors) <= _certain_error(original, decoded.dtype, max_error, reserve)
    unsure = np.flatnonzero(~within)
    if unsure.size:
        within[unsure] = _ends_are_within(original[unsure], decoded[unsure], max_error, reserve)
    return within


def _certain_error(original: np.ndarray, decoded_dtype: np.dtype, max_error: float, reserve: float) -> float:
    """Error of a decoded value up to which the ends of its interval need not be looked at.

    It is what rounding leaves of the bound, less the spacings by which sums and the ends may be off.
    """
    largest = _largest_decoded(original, max_error)
    arithmetic = _SPACINGS * rounding_error(decoded_dtype, largest)
    if is_float(original.dtype):
        arithmetic += _SPACINGS * rounding_error(original.dtype, largest)
    return _allowed_error(original, max_error, reserve) - arithmetic


def _ends_are_within(
    original: np.ndarray, decoded: np.ndarray, max_error: float, reserve: float
) -> np.ndarray:
    """Mark voxels as ``_is_within`` does, by both ends of each interval."""
    exact = original.astype(np.float64)
    within = np.isfinite(decoded)
    # A sum may be rounded the other way on another device: one spacing more.
    with np.errstate(invalid="ignore", over="ignore"):
        reach = reserve + np.abs(np.spacing(decoded)).astype(np.float64)
    for end in (-reach, reach):
        rounded = round_to_dtype(decoded.astype(np.float64) + end, original.dtype)
        within &= np.abs(rounded.astype(np.float64) - exact) <= max_error
    return within


def correction_to_bytes(correction: Correction, shape: Shape3) -> bytes:
    """Encode a correction of a volume (z, y, x)."""
    header = _SPACING.pack(correction.spacing) + encode_varints(len(correction.exact_positions))
    positions = correction.exact_positions.astype("<u4").tobytes()
    exact = positions + to_little_endian(correction.exact_values).tobytes()
    return header + exact + encode_sparse(correction.positions, correction.multiples, shape)


def correction_from_bytes(stored: bytes, shape: Shape3, dtype: np.dtype) -> Correction:
    """Decode a correction of a volume of ``dtype``: the inverse of ``correction_to_bytes``.

    Raises:
        ValueError: the bytes cannot be of such a correction.
    """
    if len(stored) < _SPACING.size:
        raise ValueError(f"a correction of {len(stored)} bytes lacks its header")
    (spacing,) = _SPACING.unpack_from(stored)
    (n_exact,), start = decode_varints(stored, 1, _SPACING.size)
    values_start = start + 4 * n_exact
    sparse_start = values_start + n_exact * dtype.itemsize
    n_voxels = math.prod(shape)
    if not (math.isfinite(spacing) and n_exact <= n_voxels and sparse_start <= len(stored)):
        raise ValueError(f"a correction has the spacing {spacing} and {n_exact} exact values")
    positions = np.frombuffer(stored, "<u4", n_exact, start).astype(np.int64)
    if n_exact and int(positions.max()) >= n_voxels:
        raise ValueError(f"a correction has an exact value at {positions.max()} of {n_voxels} voxels")
    values = np.frombuffer(stored, dtype.newbyteorder("<"), n_exact, values_start)
    return Correction(*decode_sparse(stored[sparse_start:], shape), spacing, positions, values)
