"""Values that a source declares to stand for no measurement, by CF attributes or in the way of its format.

The CF conventions name ``_FillValue``, ``missing_value``, ``valid_min``, ``valid_max`` and ``valid_range``.
Of a packed variable (``scale_factor``, ``add_offset``) they are in the units of the stored integers; limits
of a float type are then in unpacked units. Other formats state single values, which
``VolumeMetadata.missing_values`` holds.
"""

import base64
import math
import re
import struct
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.dtypes import as_number, cast_values, is_float
from nvc_jax.core.json_documents import read_json
from nvc_jax.io.unsigned_values import attributes_as_meant, stands_for_unsigned

FILL_VALUE = "_FillValue"
_MISSING_VALUE = "missing_value"
SCALING = {"scale_factor", "add_offset"}
"""Attributes of packed variables: unpacked values are stored ones times the factor plus the offset."""
_PACKING_TOLERANCE = 0.01
"""Distance of a packed limit from an integer that is due to rounding; factors are often float32."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
"""Text of an integer, which float64 need not hold."""
_NAMED_FLOATS = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf}
"""Floats as Zarr and JSON name them, in lower case."""


class DeclaredValues(NamedTuple):
    """Values that stand for no measurement.

    Attributes:
        missing_values: finite values, cast to the volume's dtype.
        valid_limits: values beyond them are missing, too.
    """

    missing_values: tuple[float, ...]
    valid_limits: Limits


def read_declared_values(
    attributes: Mapping[str, Any], missing_values: Iterable[float], dtype: np.dtype
) -> DeclaredValues:
    """Read what stands for no measurement in a volume.

    A value that an integer dtype cannot hold cannot occur in the volume: it is ignored with a warning.

    Args:
        attributes: of the source, as JSON can hold them.
        missing_values: further missing values, which the format of the source or the user states.
        dtype: of the stored values.
    """
    attributes, stated = attributes_as_meant(attributes, dtype), list(missing_values)
    for name in (FILL_VALUE, _MISSING_VALUE):
        if name in attributes:
            numbers = parse_floats(attributes[name])
            if not numbers:
                _warn(f"the attribute `{name}` (={attributes[name]!r}) is no number")
            stated += numbers
    if dtype.kind == "i" and stands_for_unsigned(attributes):
        modulus = 1 << (8 * dtype.itemsize)
        stated = [value - modulus if modulus // 2 <= value < modulus else value for value in stated]
    cast = cast_values(stated, dtype)
    if not is_float(dtype):
        for value in dict.fromkeys(stated):
            if value not in cast and not math.isnan(value):
                _warn(f"the missing value {value:g} is no value of {dtype}, so that no voxel has it")
    return DeclaredValues(cast, _read_limits(attributes, dtype))


def parse_floats(stored: Any) -> list[float]:
    """Read a number, or a list of numbers, as files and JSON state them; what is none is left out.

    Strings are NaN and infinities as Zarr names them, other numbers in decimals, lists in JSON, or the Base64
    of a little-endian float64 that xarray writes for ``_FillValue`` of floats in Zarr 3.
    """
    stored = _as_list(stored)
    if isinstance(stored, np.ndarray):
        stored = stored.tolist()
    if isinstance(stored, list | tuple):
        return [number for part in stored for number in parse_floats(part)]
    if isinstance(stored, int | float | np.integer | np.floating):
        return [as_number(stored)]
    if not isinstance(stored, str):
        return []
    text = stored.strip("\0 ")
    if text.lower() in _NAMED_FLOATS:
        return [_NAMED_FLOATS[text.lower()]]
    try:
        return [int(text) if _INTEGER.fullmatch(text) else float(text)]
    except ValueError:
        pass
    try:
        return list(struct.unpack("<d", base64.b64decode(text, validate=True)))
    except (ValueError, struct.error):
        return []


def declared_fill_value(stored: Any, *, is_of_xarray: bool = False) -> tuple[float, ...]:
    """Read the fill value of a Zarr array, where it is a declaration.

    In Zarr 2 xarray states ``_FillValue`` this way, and null where there is none. For other writers 0 is the
    default, which declares nothing.

    Args:
        stored: the fill value in the array's document; None where it states none.
        is_of_xarray: whether xarray wrote the array, in Zarr 2.
    """
    values = parse_floats(stored)[:1]
    return tuple(value for value in values if is_of_xarray or value != 0)


def attributes_for_zarr(
    attributes: Mapping[str, Any], missing_values: Iterable[float], dtype: np.dtype
) -> dict[str, Any]:
    """Return attributes with missing values in the form in which xarray reads them from Zarr 3.

    xarray takes ``_FillValue`` of floats as Base64 and of integers as a number; it cannot open a group in
    which one has another form.

    Args:
        attributes: of the source.
        missing_values: those that the format of the source states.
        dtype: of the volume.
    """
    attributes = attributes_as_meant(attributes, dtype)
    kept = {name: value for name, value in attributes.items() if name != FILL_VALUE}
    fill_values = parse_floats(attributes.get(FILL_VALUE))
    others = [value for value in missing_values if value not in parse_floats(kept.get(_MISSING_VALUE))]
    if not fill_values and others:
        fill_values, others = others[:1], others[1:]
    if fill_values and (
        is_float(dtype) or (math.isfinite(fill_values[0]) and fill_values[0] == int(fill_values[0]))
    ):
        kept[FILL_VALUE] = _as_fill_value(fill_values[0], dtype)
    others = [value for value in others if value not in fill_values]
    if _MISSING_VALUE in kept or others:
        kept[_MISSING_VALUE] = _as_missing_value(kept.get(_MISSING_VALUE), others, dtype)
    return kept


def _as_fill_value(value: float, dtype: np.dtype) -> str | int:
    return base64.standard_b64encode(struct.pack("<d", value)).decode() if is_float(dtype) else int(value)


def _as_missing_value(stated: Any, others: list[float], dtype: np.dtype) -> Any:
    """Join missing values: a finite number or a list of such; xarray reads no list with NaN in it."""
    finite = [value for value in parse_floats(stated) + others if math.isfinite(value)]
    numbers = [int(value) if not is_float(dtype) and float(value).is_integer() else value for value in finite]
    return numbers if len(numbers) > 1 else (numbers or [stated])[0]


def _read_limits(attributes: Mapping[str, Any], dtype: np.dtype) -> Limits:
    """Read the limits of valid values, in the units of the stored values."""
    pairs = [_stated_limits(attributes, name, dtype) for name in ("valid_range", "valid_min", "valid_max")]
    low, high = max(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    if (low, high) == NO_LIMITS:
        return NO_LIMITS
    if low > high or (dtype.kind == "i" and stands_for_unsigned(attributes)):
        _warn(f"the limits [{low:g}, {high:g}] of valid values do not suit the stored {dtype}")
        return NO_LIMITS
    return low, high


def _stated_limits(attributes: Mapping[str, Any], name: str, dtype: np.dtype) -> Limits:
    """Read the limits that one attribute states."""
    if name not in attributes:
        return NO_LIMITS
    numbers = parse_floats(attributes[name])
    if len(numbers) != (2 if name == "valid_range" else 1) or any(map(math.isnan, numbers)):
        _warn(f"the attribute `{name}` (={attributes[name]!r}) states no limits")
        return NO_LIMITS
    if name == "valid_min":
        numbers = [*numbers, math.inf]
    elif name == "valid_max":
        numbers = [-math.inf, *numbers]
    if is_float(dtype):
        with np.errstate(over="ignore"):
            numbers = [float(np.float64(number).astype(dtype)) for number in numbers]
    elif _has_floats(_as_list(attributes[name])) and SCALING & attributes.keys():
        numbers = sorted(_pack(number, attributes) for number in numbers)
    return numbers[0], numbers[1]


def _as_list(stated: Any) -> Any:
    """Return the list that a text in JSON is, as attributes of NRRD are; anything else as it is."""
    if not isinstance(stated, str) or not stated.startswith("["):
        return stated
    try:
        return read_json(stated.encode())
    except ValueError:
        return stated


def _pack(limit: float, attributes: Mapping[str, Any]) -> float:
    """Convert a limit in unpacked units to stored units; one next to an integer is meant to be it."""
    scale, offset = (
        (parse_floats(attributes.get(name)) or [default])[0]
        for name, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    packed = (limit - offset) / scale if scale else math.copysign(math.inf, limit)
    is_close = math.isfinite(packed) and abs(packed - round(packed)) <= _PACKING_TOLERANCE
    return float(round(packed)) if is_close else packed


def _has_floats(stored: Any) -> bool:
    return any(isinstance(part, float) for part in (stored if isinstance(stored, list) else [stored]))


def _warn(fault: str) -> None:
    warnings.warn(f"{fault}; it is ignored", stacklevel=4)
