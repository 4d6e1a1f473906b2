"""The rules that decoded values keep: within the range of the valid ones, and never a missing value.

A decoded value may overshoot the range of the volume, or happen to be the value that stands for no
measurement. Every decoder therefore clips what a body decodes to the range, which brings no value further
from its original, and moves what still equals a missing value to the next value. The encoder stores the few
values that this would take beyond a bound exactly.
"""

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, ValueRange
from nvc_jax.core.dtypes import cast_values, float_limits, is_float, is_long_integer
from nvc_jax.core.long_integers import absolute_differences
from nvc_jax.core.slabs import slabs
from nvc_jax.native.valid_range import is_within


class DecodedRange:
    """Rules of the decoded values of one volume.

    Args:
        dtype: of the volume.
        value_range: of the volume; None for no rules.

    Raises:
        ValueError: the dtype does not hold the ends of the range.
    """

    def __init__(self, dtype: np.dtype, value_range: ValueRange | None) -> None:
        self._has_rules = value_range is not None
        self._replacements: dict[float, float] = {}
        if value_range is None:
            return
        low, high = value_range.low, value_range.high
        if not {low, high} <= set(cast_values((low, high), dtype)):
            raise ValueError(f"the range [{low}, {high}] is not one of {dtype}")
        self._low, self._high = dtype.type(low), dtype.type(high)
        # Beyond the range clipping keeps values apart from missing ones.
        within = [v for v in cast_values(value_range.missing_values, dtype) if low < v < high]
        for value in within:
            self._replacements[value] = _next_value(value, within, high, dtype)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Limits to which values are clipped; None if there are other rules."""
        if self._replacements:
            return None
        return (float(self._low), float(self._high)) if self._has_rules else NO_LIMITS

    def enforce(self, decoded: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
        """Clip decoded values to the range, and move those that equal a missing value to the next value.

        Args:
            decoded: the values.
            limits: that they are known to keep; None where they are not known.
        """
        if not self._has_rules:
            return decoded
        if not self._replacements:
            if limits is not None and self._low <= limits[0] and limits[1] <= self._high:
                return decoded
            decoded = np.ascontiguousarray(decoded)
            if is_within(decoded, self._low, self._high):
                return decoded
        enforced = decoded.copy()
        for slab in slabs(decoded.shape):
            part = enforced[slab]
            # Two comparisons, and not `np.clip`, which may turn −0 into 0.
            _replace(part, part < self._low, self._low)
            _replace(part, part > self._high, self._high)
            for missing_value, replacement in self._replacements.items():
                _replace(part, part == missing_value, replacement)
        return enforced

    def find_broken(
        self, values: np.ndarray, enforced: np.ndarray, max_error: float | None, reserve: float
    ) -> np.ndarray | None:
        """Mark the values that a move away from a missing value takes beyond a bound, to be stored exactly.

        Args:
            values: (z, y, x), the original.
            enforced: same shape, results of ``enforce``.
            max_error: bound in the volume's units; None for no bound.
            reserve: largest difference between ``enforced`` and the values of other devices, before they
                are rounded.

        Returns:
            bool of the same shape; None where there is no such value, here or on any other device.
        """
        if max_error is None or not self._replacements:
            return None
        broken = np.zeros(values.shape, bool)
        # Integers that another device rounds the other way are off by 1.
        reach = reserve if is_float(values.dtype) else np.ceil(reserve)
        for missing_value, replacement in self._replacements.items():
            is_near = (enforced == replacement) | (_distances(enforced, missing_value) <= reach)
            broken |= is_near & (_distances(values, replacement) > max_error)
        return broken if broken.any() else None


def _distances(values: np.ndarray, value: float) -> np.ndarray:
    """Distances of values from one, float64; of int64 and uint64 rounded up, as errors are."""
    if is_long_integer(values.dtype):
        return absolute_differences(values, np.full_like(values, value))
    with np.errstate(invalid="ignore"):  # NaN is at no distance
        return np.abs(values.astype(np.float64) - value)


def _replace(values: np.ndarray, mask: np.ndarray, replacement: float | np.generic) -> None:
    """Replace the values that a mask marks, in place."""
    if mask.any():
        values[mask] = values.dtype.type(replacement)


def _next_value(value: float, missing_values: list[float], high: float, dtype: np.dtype) -> float:
    """Return the next larger value of a dtype that is neither missing nor subnormal; at most ``high``."""
    while value in missing_values:
        if not is_float(dtype):
            value += 1
            continue
        # Some devices take subnormal numbers for 0.
        _, _, tiny = float_limits(dtype)
        value = float(np.nextafter(dtype.type(value), dtype.type(high)))
        if 0 < abs(value) < tiny:
            value = min(tiny if value > 0 else 0.0, high)
    return value
