"""Rules of a volume's values in the metadata of a container: limits as JSON, and the fill value of Zarr."""

import math
from typing import Any

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits, ValueRange
from nvc_jax.core.dtypes import as_number, cast_values, integer_limits, is_float


def limits_as_json(limits: Limits) -> list[float | None]:
    """Turn limits into two numbers, null where there is no limit."""
    return [limit if math.isfinite(limit) else None for limit in limits]


def check_number(name: str, value: Any) -> float:
    """Return the number of a field.

    Raises:
        TypeError: it is no number; texts, true and false are none.
        ValueError: it is NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"`{name}` (={value!r:.80}) must be a number")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` (={value}) must be finite")
    return value


def limits_from_json(name: str, stored: Any) -> Limits:
    """Read what ``limits_as_json`` made.

    Raises:
        ValueError, TypeError: it is no list of two ordered numbers or nulls.
    """
    low, high = (
        without if limit is None else as_number(check_number(name, limit))
        for limit, without in zip(stored, NO_LIMITS, strict=True)
    )
    if not low <= high:
        raise ValueError(f"`{name}` (={stored}) must be two numbers in order, null for no limit")
    return low, high


def choose_fill_value(dtype: np.dtype, value_range: ValueRange) -> str | int:
    """Choose the value that other readers of Zarr show where a chunk is missing, as JSON.

    It is NaN for floats; for integers a missing value or an end of the dtype that no valid value has, and 0
    only where valid values take both ends.
    """
    if is_float(dtype):
        return "NaN"
    smallest, largest = integer_limits(dtype)
    candidates = [*map(int, cast_values(value_range.missing_values, dtype)), largest, smallest]
    shown = [value for value in candidates if not value_range.low <= value <= value_range.high]
    fill_value = shown[0] if shown else 0
    return bool(fill_value) if dtype.kind == "b" else fill_value
