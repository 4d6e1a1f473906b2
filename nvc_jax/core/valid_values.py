"""Valid values of a volume: finite, not missing and within the declared limits."""

import math
from collections.abc import Sequence

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.dtypes import ignoring_nan, is_float, is_long_integer


def all_finite(values: np.ndarray) -> bool:
    """Tell whether all floats of an array are finite, without making a mask."""
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite([values.min(initial=0), values.max(initial=0)]).all())


def valid_mask(
    values: np.ndarray, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
) -> np.ndarray:
    """Mark the values that are finite, not missing and within the limits: bool of the same shape."""
    with ignoring_nan(values.dtype):
        return _mark_valid(values, missing_values, valid_limits)


def _mark_valid(values: np.ndarray, missing_values: Sequence[float], valid_limits: Limits) -> np.ndarray:
    if is_float(values.dtype) and not all_finite(values):
        valid = np.isfinite(values)
    else:
        valid = np.ones(values.shape, bool)
    for missing_value in missing_values:
        valid &= values != missing_value
    low, high = valid_limits
    if is_long_integer(values.dtype):  # as integers: float64 does not hold every value
        low, high = (
            (low if low == -math.inf else math.ceil(low)),
            (high if high == math.inf else math.floor(high)),
        )
    elif is_float(values.dtype):  # bfloat16 is not compared with large integers
        low, high = float(low), float(high)
    if low != -math.inf:
        valid &= values >= low
    if high != math.inf:
        valid &= values <= high
    return valid
