"""Configuration of the codec ``nvc``: stated for the ``zarr.json``, read back, and identified.

Format version 1, see ``FORMAT.md``. The configuration holds everything that decoding needs, so that any
reader of Zarr arrays hands it on without understanding it. What follows from other fields is not stated. The
field ``id`` is a checksum of the others, and the name by which each chunk knows its container.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nvc_jax.container.value_rules import check_number, limits_as_json, limits_from_json
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.dtypes import as_number, check_dtype, integer_limits, is_long_integer, number_of
from nvc_jax.core.shapes import MAX_RANK, MIN_RANK, Shape
from nvc_jax.models.checkpoints import FEWEST_DIGITS
from nvc_jax.native.checksums import crc32c

FORMAT_VERSION = 1
_TARGETS = (
    *("max_error", "relative_error", "pointwise_error", "psnr", "lossless", "latents", "relative_step"),
)
"""Fields that state the quality target; without one of them, ``step`` does."""
_LIMITS = ("valid_limits", "value_limits")
"""Fields of two limits, which are null where there is none."""
_FIELDS = (
    *("version", "model", "sha256", "shape", "range", "fill_values", *_LIMITS, "exact_values"),
    *(*_TARGETS, "bound", "step", "embedded", "id"),
)
_ID_DIGITS = 16
_MOST_VOXELS = 1 << 53
"""Voxels that a volume has at most: numbers in JSON are exact up to here."""


class FormatError(ValueError):
    """Error of a store that is no nvc container, or a damaged one."""


def state_configuration(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration of the codec, JSON-ready, which ``read_configuration`` reads back.

    Args:
        fields: attributes of ``ContainerMetadata`` by name.
    """
    dtype, shape, chunk = fields["dtype"], fields["shape"], fields["chunk"]
    stated = {
        "model": fields["model"],
        "sha256": fields["sha256"],
        "shape": None if shape == chunk else list(shape),
        "range": [_shorten(fields[name], dtype) for name in ("minimum", "maximum")],
        "fill_values": [_shorten(value) for value in fields["missing_values"]] or None,
        **{name: _state_limits(fields[name]) for name in _LIMITS},
        "exact_values": [_shorten(value) for value in fields["exact_values"]] or None,
        **_state_target(fields),
        "embedded": fields["embedded"],
        "id": f"{fields['fingerprint'] or 0:08x}",
    }
    stated = {name: value for name, value in stated.items() if value is not None or name == "bound"}
    return stated | {"id": identify(stated, chunk, dtype)}


def _state_limits(limits: Limits) -> list[float | None] | None:
    """State limits; None if there are none."""
    if limits == NO_LIMITS:
        return None
    return [None if limit is None else _shorten(limit) for limit in limits_as_json(limits)]


def _state_target(fields: Mapping[str, Any]) -> dict[str, Any]:
    """State the target, and bound and step unless they follow from it."""
    ((name, value),) = fields["target"].items()
    bound, step, width = fields["max_error"], fields["step"], fields["maximum"] - fields["minimum"]
    if name == "step" and value != step:
        name = "relative_step"
    number = value if value is True else _shorten(value)
    stated: dict[str, Any] = {name: number}
    derived_bound, derived_step = _derive(stated, width)
    if bound != derived_bound:
        stated["bound"] = None if bound is None else _shorten(bound)
    if step != derived_step:
        stated["step"] = None if step is None else _shorten(step)
    return stated


def _derive(target: Mapping[str, Any], width: float) -> tuple[float | None, float | None]:
    """Bound and step that follow from a target and the width of the range."""
    ((name, value),) = target.items()
    bounds = {"max_error": 1.0, "relative_error": width, "lossless": 0.0}
    bound = value * bounds[name] if name in bounds else None
    return bound, value * width if name == "relative_step" else value if name == "step" else None


def check_version(configuration: Any) -> None:
    """Raise ``FormatError`` unless a configuration is of this version of the format."""
    if not isinstance(configuration, dict):
        raise FormatError("the metadata are damaged: the configuration of `nvc` must be an object")
    version = configuration.get("version", FORMAT_VERSION)
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise FormatError(f"`version` (={version!r:.80}) must be {FORMAT_VERSION}: upgrade nvc_jax")


def read_configuration(configuration: Any, chunk: Shape, dtype: str) -> dict[str, Any]:
    """Read the configuration of the codec ``nvc``: attributes of ``ContainerMetadata`` by name.

    Args:
        configuration: as it is stored.
        chunk: voxels of a chunk along each axis.
        dtype: name of the volume's dtype.

    Raises:
        FormatError: it is of another version, or it differs from what was written.
        ValueError, TypeError, KeyError, OverflowError: a field is missing, unknown or out of range.
    """
    check_version(configuration)
    stated: dict[str, Any] = configuration
    if unknown := sorted(stated.keys() - set(_FIELDS)):
        raise ValueError(f"the configuration of `nvc` has unknown fields: {', '.join(unknown)}")
    check_dtype(dtype, "data_type")
    minimum, maximum = (_read_number("range", value, dtype) for value in stated["range"])
    if not minimum <= maximum:
        raise ValueError(f"`range` (={stated['range']}) must be two numbers in order")
    max_error, step, target = _read_target(stated, maximum - minimum)
    fields = {
        "shape": read_sides("shape", stated.get("shape", list(chunk))),
        "chunk": chunk,
        "dtype": dtype,
        "model": _read_text(stated, "model"),
        "sha256": _read_digits(stated, "sha256", range(FEWEST_DIGITS, 65)),
        "target": target,
        "minimum": minimum,
        "maximum": maximum,
        "missing_values": _read_values(stated, "fill_values", dtype),
        **{name: limits_from_json(name, stated.get(name, (None, None))) for name in _LIMITS},
        "exact_values": _read_values(stated, "exact_values", dtype),
        "max_error": max_error,
        "step": step,
        "embedded": stated.get("embedded"),
    }
    identity = _read_digits(stated, "id", range(_ID_DIGITS, _ID_DIGITS + 1))
    if identify(stated, chunk, dtype) != identity:
        raise FormatError(
            "the metadata differ from those that were written: their checksum is another; "
            "restore `zarr.json` from a copy"
        )
    return fields | {"fingerprint": int(identity[:8], 16) or None}


def _read_target(
    stated: Mapping[str, Any], width: float
) -> tuple[float | None, float | None, dict[str, Any]]:
    """Read the bound, the step and the target."""
    names = [name for name in _TARGETS if name in stated] or ["step"]
    if len(names) > 1 or names[0] not in stated:
        raise ValueError(f"the configuration of `nvc` must state one target, not {names}")
    (name,) = names
    is_flag = name in ("lossless", "latents")
    if is_flag and stated[name] is not True:
        raise ValueError(f"`{name}` (={stated[name]!r}) must be true")
    value = True if is_flag else _read_number(name, stated[name])
    if name == "pointwise_error" and not 0 < value < 1:
        raise ValueError(f"`pointwise_error` (={value}) must be above 0 and below 1")
    bound, step = _derive({name: value}, width)
    for field, derived in (("bound", bound), ("step", step)):
        number = derived
        if field in stated:
            number = None if stated[field] is None else _read_number(field, stated[field])
        if field == "step" and number is None and derived is not None:
            raise ValueError(f"`step` (=null) contradicts the target, whose step is {derived}")
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"`{field}` (={number}) must be a number that is not negative")
        bound, step = (number, step) if field == "bound" else (bound, number)
    return bound, step, {"step" if name == "relative_step" else name: value}


def identify(configuration: Mapping[str, Any], chunk: Shape, dtype: str) -> str:
    """Identity of a container: the fingerprint of its source, and a checksum of what decoding needs.

    Args:
        configuration: as it is stored. Its version and an embedded model, which has a SHA-256, do not count;
            of its ``id`` the first half counts, the fingerprint.
        chunk: voxels of a chunk along each axis.
        dtype: name of the volume's dtype.

    Returns:
        16 hexadecimal digits.
    """
    fingerprint = configuration["id"][: _ID_DIGITS // 2]
    covered = {name: value for name, value in configuration.items() if name not in ("version", "embedded")}
    document = {**covered, "id": fingerprint, "chunk_shape": list(chunk), "data_type": dtype}
    text = json.dumps(_map_numbers(_number_digits, document), sort_keys=True, separators=(",", ":"))
    return f"{fingerprint}{crc32c(text.encode()):08x}"


def _number_digits(number: float) -> str:
    """Hexadecimal digits of a number as float64, little-endian: texts of numbers differ between programs.

    Of an integer that float64 does not hold: its decimal digits.
    """
    if isinstance(number, int) and number != float(number):
        return str(number)
    return struct.pack("<d", float(number)).hex()


def read_sides(name: str, value: Any, most_voxels: int = _MOST_VOXELS) -> Shape:
    """Read the sides of a shape.

    Raises:
        ValueError: they are not two to five positive integers, or there are too many voxels.
    """
    is_list = isinstance(value, list) and all(isinstance(side, int) and side is not True for side in value)
    if not is_list or not MIN_RANK <= len(value) <= MAX_RANK or min(value) < 1:
        raise ValueError(
            f"`{name}` (={value!r:.80}) must be {MIN_RANK} to {MAX_RANK} axes, each a positive integer"
        )
    if math.prod(value) > most_voxels:
        raise ValueError(f"`{name}` (={value}) has more than {most_voxels} voxels")
    return tuple(value)


def _read_text(stated: Mapping[str, Any], name: str) -> str | None:
    value = stated.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{name}` (={value!r}) must be a text")
    return value


def _read_digits(stated: Mapping[str, Any], name: str, lengths: range) -> str:
    """Read hexadecimal digits in lower case."""
    value = stated[name]
    is_text = isinstance(value, str) and set(value) <= set("0123456789abcdef")
    if not is_text or len(value) not in lengths:
        limits = f"{lengths[0]} to {lengths[-1]}"
        raise ValueError(f"`{name}` (={value!r:.80}) must be {limits} hexadecimal digits in lower case")
    return value


def _read_values(stated: Mapping[str, Any], name: str, dtype: str) -> tuple[float, ...]:
    """Read values of the volume, which are integers of int64 and uint64."""
    number_type = as_number if is_long_integer(np.dtype(dtype)) else float
    return tuple(number_type(check_number(name, value)) for value in stated.get(name, ()))


def _read_number(name: str, value: Any, dtype: str = "float64") -> float:
    """Read a finite number, rounded to a dtype."""
    check_number(name, value)
    kind = np.dtype(dtype)
    if kind.kind == "b" or is_long_integer(kind):
        low, high = integer_limits(kind)
        if not low <= value <= high or value != int(value):
            raise ValueError(f"`{name}` (={value}) must be a value of {dtype}")
        return number_of(kind.type(int(value)))
    with np.errstate(over="ignore"):
        number = float(np.dtype(dtype).type(value))
    if not math.isfinite(number):
        raise ValueError(f"`{name}` (={value}) must be finite")
    return number


def _shorten(number: float, dtype: str = "float64") -> float:
    """Find the number of the shortest text that a dtype rounds to ``number``."""
    if isinstance(number, int):  # of int64 or uint64
        return number
    rounded = np.dtype("uint8" if dtype == "bool" else dtype).type(number)
    shortest = float(str(rounded)) if float(rounded) == number else float(number)
    is_shorter = shortest.is_integer() and len(str(int(shortest))) < len(repr(shortest))
    return int(shortest) if is_shorter else shortest


def _map_numbers(function: Callable[[float], Any], value: Any) -> Any:
    """Apply a function to a number, or to those in a list or an object; leave anything else as it is."""
    if isinstance(value, dict):
        return {name: _map_numbers(function, entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_map_numbers(function, entry) for entry in value]
    return function(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
