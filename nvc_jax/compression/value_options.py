"""Options of ``compress`` that say what values must come back: limits and exact values."""

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits, ValueRange
from nvc_jax.core.dtypes import as_number, cast_values, is_scalar

_MAX_EXACT_VALUES = 16
"""Most exact values: each has a label of its own in every chunk."""


def check_value_limits(value_limits: Sequence[float | None] | None) -> Limits:
    """Check the limits of decoded values; infinite where there is none.

    Raises:
        ValueError: they are not two ordered numbers.
    """
    if value_limits is None:
        return NO_LIMITS
    stated = check_numbers("value_limits", value_limits, may_be_none=True)
    limits = tuple(
        without if limit is None else limit for limit, without in zip(stated, NO_LIMITS, strict=False)
    )
    if len(stated) != 2 or not limits[0] <= limits[1] or math.inf in (limits[0], -limits[1]):
        raise ValueError(
            f"`value_limits` (={value_limits}) must be two ordered numbers, None for no limit, such as "
            "(0, None)"
        )
    return limits[0], limits[1]


def check_numbers(name: str, values: Any, *, may_be_none: bool = False) -> list[Any]:
    """Turn an option of several numbers into a list of them.

    Args:
        name: of the option.
        values: as the user gave them.
        may_be_none: whether a number may be None, which stays.

    Raises:
        TypeError: they are no sequence, or one is no number.
    """
    fault = f"`{name}` (={values!r:.80}) must be a sequence of numbers, such as [0, -9999]"
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{fault}, not {type(values).__name__}")
    read: list[Any] = []
    for value in values:
        if not (value is None and may_be_none) and not _is_number(value):
            raise TypeError(f"{fault}; {value!r:.80} is none")
        read.append(None if value is None else as_number(value))
    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) or is_scalar(value)


def check_within_limits(value_range: ValueRange) -> None:
    """Raise ``ValueError`` unless all valid values of a volume lie within the limits that the user set."""
    low, high = value_range.value_limits
    if not low <= value_range.low <= value_range.high <= high and value_range.value_limits != NO_LIMITS:
        raise ValueError(
            f"`value_limits` (={low:g}, {high:g}) do not hold the volume's values, from {value_range.low} to "
            f"{value_range.high}: widen them, clip the volume, or name what is no measurement as "
            "`missing_values`"
        )


def check_exact_values(exact_values: Sequence[float], dtype: np.dtype) -> tuple[float, ...]:
    """Cast the values that must come back exactly to the volume's dtype.

    Values that the dtype does not hold do not occur, and are left out.

    Raises:
        ValueError: there are too many of them.
    """
    exact = cast_values(check_numbers("exact_values", exact_values), dtype)
    if len(exact) > _MAX_EXACT_VALUES:
        raise ValueError(
            f"`exact_values` holds {len(exact)} values; at most {_MAX_EXACT_VALUES} are possible: leave some "
            "out, or use `lossless`"
        )
    return exact
