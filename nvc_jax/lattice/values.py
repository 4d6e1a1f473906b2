"""Values of a volume under a bound of the error, to bytes and back.

Values become integers in fixed point: value = low + R · spacing / 2**F. With F ≥ 1 a value in fixed point is
rounded down. The decoded one is above it by at most 2**(F − 1) and below it by at most 2**(F − 1) − 1, so the
decoded value is within half a spacing. Everything on the host is in integers, or in float64 operations that
IEEE 754 rounds correctly.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.core.dtypes import is_float, is_long_integer, round_floats
from nvc_jax.core.header_fields import MAX_HALF_SPACING, decode_quantization, encode_quantization
from nvc_jax.core.long_integers import fixed_point, from_multiples, nearest_multiples
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.slabs import map_slabs, slabs
from nvc_jax.lattice import native_values
from nvc_jax.lattice.estimate import Counts, Estimate, estimate_coding
from nvc_jax.lattice.plan import MAX_FIXED, FixedVolume, Lattice, Plan, fill_lattice, fix_volume
from nvc_jax.lattice.stream import decode_lattice, encode_lattice
from nvc_jax.native.float_errors import largest_error
from nvc_jax.native.host_kernels import serves

FRACTION_BITS = 4
"""Fraction bits of lossy streams, or fewer where the range of values is wide."""
_ROUNDING_SPACINGS = 8
"""Spacings of float64 that the arithmetic may be off by."""


class FixedValues(NamedTuple):
    """Values and what they are in fixed point.

    Attributes:
        values: (z, y, x), finite.
        valid: bool (z, y, x), values that must keep the bound.
        n_valid: their number.
        max_error: the bound, in the volume's units.
        low: smallest value, which is the origin of the fixed point.
        high: largest value.
        spacing: step of the codes.
        volume: the values in fixed point.
    """

    values: np.ndarray
    valid: np.ndarray
    n_valid: int
    max_error: float
    low: Any
    high: Any
    spacing: float
    volume: FixedVolume

    @property
    def is_exact(self) -> bool:
        """Tell whether decoded values are the values themselves."""
        return not is_float(self.values.dtype) and self.spacing == 1

    def estimate(self, counts: Counts) -> Estimate:
        """Estimate what the values will take, by the counts of a plan."""
        unit = self.spacing / (1 << self.volume.fraction_bits)
        return estimate_coding(counts, self.n_valid, unit, is_exact=self.is_exact)

    @property
    def counted(self) -> np.ndarray | None:
        """Tell which values must keep the bound; None if all must."""
        return None if self.n_valid == self.valid.size else self.valid

    def cut(self, part: tuple[slice, slice, slice], padded_shape: Shape3) -> FixedVolume:
        """Cut a part out of the volume in fixed point.

        Args:
            part: of the volume; it may leave out points.
            padded_shape: (z, y, x), no smaller than the part.
        """
        bits = self.volume.fraction_bits
        fixed = _to_fixed(self.values[part], self.low, self.spacing, bits)
        limits = _to_fixed(np.array([self.low, self.high]), self.low, self.spacing, bits).tolist()
        valid = None if self.counted is None else self.counted[part]
        return fix_volume(fixed, bits, padded_shape, valid, (limits[0], limits[1]))


def fix_values(
    values: np.ndarray,
    max_error: float,
    padded_shape: Shape3,
    valid: np.ndarray | None = None,
    limits: tuple[Any, Any] | None = None,
) -> FixedValues:
    """Turn a volume to fixed point, so that no value will change by more than ``max_error``.

    Args:
        values: (z, y, x) of an integer or float dtype, finite.
        max_error: the bound, in the volume's units; integers come back exactly under a bound below 1.
        padded_shape: (z, y, x), no smaller than the volume's; see ``fix_volume``.
        valid: bool (z, y, x), values that must keep the bound; None if all must.
        limits: smallest and largest value, of their dtype, if they are known.

    Raises:
        ValueError: the bound is too tight for the range of the values.
    """
    valid = np.ones(values.shape, bool) if valid is None else valid
    low, high = limits or (values.min(), values.max())
    if is_float(values.dtype):
        spacing = _float_spacing(values.dtype, float(low), float(high), max_error)
        span = (float(high) - float(low)) / spacing
    else:
        half = math.floor(min(max_error, int(high) - int(low)))
        spacing = 2 * (min(half, MAX_HALF_SPACING) if is_long_integer(values.dtype) else half) + 1
        span = (int(high) - int(low)) / spacing
    if span + 1 >= MAX_FIXED:
        raise ValueError(f"a bound of {max_error} is too tight for values from {low} to {high}")
    fraction_bits = min(FRACTION_BITS, math.floor(math.log2(MAX_FIXED / (span + 1)))) if spacing != 1 else 0

    def fill(fixed: np.ndarray) -> None:
        if serves(values.dtype) and fixed.flags.c_contiguous:
            native_values.fix_floats(values, float(low), spacing, fraction_bits, fixed)
            return
        for slab in slabs(values.shape):
            fixed[slab] = _to_fixed(values[slab], low, spacing, fraction_bits)

    def fix() -> Lattice:
        limits = _to_fixed(np.array([low, high], values.dtype), low, spacing, fraction_bits).tolist()
        return fill_lattice(fill, padded_shape, valid, (limits[0], limits[1]))

    floats = None
    if serves(values.dtype):
        floats = native_values.Floats(
            np.ascontiguousarray(values), np.ascontiguousarray(valid), float(low), spacing
        )
    volume = FixedVolume(fix, check_shape(values.shape), fraction_bits, floats)
    n_valid = int(np.count_nonzero(valid))
    return FixedValues(values, valid, n_valid, max_error, low, high, spacing, volume)


def encode_values(fixed: FixedValues, plan: Plan) -> tuple[bytes, np.ndarray, float]:
    """Code values as planned.

    Returns:
        The bytes, the values that they decode to, and the largest error of valid ones.

    Raises:
        ValueError: the bound is too tight for the range of the values.
    """
    stream, decoded = encode_lattice(plan)
    dtype = fixed.values.dtype
    result = _from_fixed(decoded, fixed.low.item(), fixed.spacing, fixed.volume.fraction_bits, dtype)
    error = largest_error(fixed.values, result, fixed.counted)
    if not error <= fixed.max_error:
        raise ValueError(f"a bound of {fixed.max_error} is too tight for {dtype} from {fixed.low} on")
    return encode_quantization(dtype, fixed.low, fixed.spacing) + stream, result, error


def decode_values(stored: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode a volume of ``dtype``; the inverse of ``encode_values``.

    Raises:
        ValueError: the bytes cannot be of such a volume.
    """
    dtype = np.dtype(dtype)
    low, spacing, start = decode_quantization(stored, dtype)
    fixed, fraction_bits = decode_lattice(stored[start:], shape, padded_shape)
    return _from_fixed(fixed, low, spacing, fraction_bits, dtype)


def _float_spacing(dtype: np.dtype, low: float, high: float, max_error: float) -> float:
    """Widest spacing that keeps float values in [low, high] within ``max_error``."""
    magnitude = max(abs(low), abs(high)) + max_error
    with np.errstate(over="ignore", invalid="ignore"):
        rounding = float(np.spacing(dtype.type(magnitude))) / 2
    spacing = 2 * (max_error - rounding - _ROUNDING_SPACINGS * math.ulp(magnitude))
    if not spacing > max_error or not math.isfinite(spacing):
        raise ValueError(f"a bound of {max_error} is too tight for {dtype} from {low} to {high}")
    return spacing


def _to_fixed(values: np.ndarray, low: Any, spacing: float, fraction_bits: int) -> np.ndarray:
    """Values in fixed point, int32 or int64: rounded down, or to the nearest without fraction bits."""
    if serves(values.dtype):
        return native_values.fix_floats(values, float(low), spacing, fraction_bits)
    if is_float(values.dtype):
        exact = (values.astype(np.float64) - float(low)) / spacing * (1 << fraction_bits)
        return (np.floor(exact) if fraction_bits else np.rint(exact)).astype(np.int64)
    if is_long_integer(values.dtype):
        if fraction_bits:
            return fixed_point(values, int(low), int(spacing), fraction_bits)
        return nearest_multiples(values, int(low), int(spacing))
    above = (values.astype(np.int64) - int(low)) << fraction_bits
    return (above if fraction_bits else above + spacing // 2) // spacing


def _from_fixed(
    fixed: np.ndarray, low: float, spacing: float, fraction_bits: int, dtype: np.dtype
) -> np.ndarray:
    """Values of ``dtype`` of numbers in fixed point; those beyond the dtype's ends become the ends."""
    unit = spacing / (1 << fraction_bits)
    if serves(dtype):
        return native_values.restore_floats(fixed, low, unit)

    def to_float(fixed: np.ndarray) -> np.ndarray:
        return round_floats(low + fixed * unit, dtype)

    def to_long_integer(fixed: np.ndarray) -> np.ndarray:
        # As below, but with the whole spacings apart.
        whole, fraction = np.divmod(fixed.astype(np.int64), 1 << fraction_bits)
        nearest = -(((1 << fraction_bits) - 2 * fraction * int(spacing)) >> (fraction_bits + 1))
        return from_multiples(whole, nearest, int(low), int(spacing), dtype)

    def to_integer(fixed: np.ndarray) -> np.ndarray:
        # The nearest integer; of two at the same distance the lower one.
        doubled = 2 * fixed.astype(np.int64) * int(spacing)
        nearest = -(((1 << fraction_bits) - doubled) >> (fraction_bits + 1))
        limits = np.iinfo(dtype)
        return np.clip(nearest + int(low), limits.min, limits.max)

    if is_long_integer(dtype):
        return map_slabs(to_long_integer, fixed, dtype=dtype)
    return map_slabs(to_float if is_float(dtype) else to_integer, fixed, dtype=dtype)
