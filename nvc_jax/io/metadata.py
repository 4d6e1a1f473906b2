"""Metadata of a volume: names of its axes, spacing, origin, units, and attributes."""

import base64
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Names3 = tuple[str, str, str]
Numbers3 = tuple[float, float, float]

_Result = TypeVar("_Result")
_NO_SPACE = {"t", "time", "c", "channel", "channels", "s", "sample", "samples", "band"}


@dataclasses.dataclass(frozen=True)
class VolumeMetadata:
    """Coordinates and attributes of a volume; what a source does not say is None. Axes are z, y, x.

    Attributes:
        dimension_names: of the axes.
        spacing: between neighbouring voxels, positive, in ``units``.
        origin: position of the first voxel, in ``units``; voxel i lies at origin + i · spacing.
        units: as the source spells them.
        attributes: the source's own, JSON-ready.
    """

    dimension_names: Names3 | None = None
    spacing: Numbers3 | None = None
    origin: Numbers3 | None = None
    units: Names3 | None = None
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def as_attributes(self) -> dict[str, Any]:
        """Attributes of a Zarr array: the source's own, with ``spacing``, ``origin`` and ``units``."""
        known = {"spacing": self.spacing, "origin": self.origin, "units": self.units}
        return {**self.attributes, **{key: list(value) for key, value in known.items() if value is not None}}

    @classmethod
    def of_attributes(cls, dimension_names: Any, attributes: dict[str, Any]) -> "VolumeMetadata":
        """The inverse of ``as_attributes``; what is malformed is left out."""
        return cls(
            names3(dimension_names),
            spacing3(attributes.get("spacing")),
            numbers3(attributes.get("origin")),
            names3(attributes.get("units")),
            attributes,
        )


def attempt(read: Callable[[], _Result]) -> _Result | None:
    """``read()``, or None where odd metadata make it fail."""
    try:
        return read()
    except Exception:
        return None


def names3(values: Any) -> Names3 | None:
    """Three strings, or None; one alone stands for all three."""
    if isinstance(values, str):
        return values, values, values
    if not isinstance(values, Iterable):
        return None
    z, y, x = names if len(names := list(values)) == 3 else [None] * 3
    return (z, y, x) if isinstance(z, str) and isinstance(y, str) and isinstance(x, str) else None


def numbers3(values: Any) -> Numbers3 | None:
    """Three finite numbers, or None."""
    numbers = attempt(lambda: [float(value) for value in values])
    if numbers is None or len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        return None
    return numbers[0], numbers[1], numbers[2]


def spacing3(values: Any) -> Numbers3 | None:
    """Three finite positive numbers, or None."""
    numbers = numbers3(values)
    return numbers if numbers and min(numbers) > 0 else None


def aligned(matrix: Any, origin: Any) -> Numbers3 | None:
    """``origin`` (x, y, z) as z, y, x if ``matrix`` maps x, y, z to themselves, else None."""
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (3, 3) or np.any(matrix != np.diag(np.diag(matrix))) or np.any(np.diag(matrix) <= 0):
        return None
    return numbers3(list(origin)[::-1])


def regular(coordinates: Any) -> tuple[float, float] | None:
    """Origin and spacing of evenly spaced, rising coordinates, or None."""
    values = np.asarray(coordinates, np.float64)
    if values.ndim != 1 or values.size < 2 or not np.all(np.isfinite(values)):
        return None
    step = (values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    slack = 1e-3 * step + 4 * np.finfo(np.float32).eps * float(np.abs(values).max())
    if step <= 0 or np.abs(values - even).max() > slack:
        return None
    return float(values[0]), float(step)


def kept_axes(shape: Sequence[int], names: Sequence[Any] | None = None) -> list[int]:
    """The axes that stay when those of length 1 are dropped until three are left.

    Axes whose names say that they are no axes of space go first, then the foremost.
    """

    def spatial(axis: int) -> bool:
        return names is None or str(names[axis]).lower() not in _NO_SPACE

    spare = sorted(
        (axis for axis, side in enumerate(shape) if side == 1), key=lambda axis: (spatial(axis), axis)
    )
    dropped = spare[: max(len(shape) - 3, 0)]
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    return kept if len(kept) == 3 else list(range(len(shape)))


def as_json(value: Any) -> Any:
    """``value`` as JSON can hold it: arrays as lists, NaN and infinities as strings, as Zarr spells them.

    Raises:
        TypeError: it is nothing of the kind.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity"}.get(str(value), "-Infinity")
        )
    if isinstance(value, np.ndarray | np.generic):
        value = value.item() if value.ndim == 0 else value.tolist()
        return as_json(value)
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Mapping):
        return attributes_as_json(value)
    if isinstance(value, list | tuple | set):
        return [as_json(part) for part in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def attributes_as_json(attributes: Mapping[Any, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """The attributes that JSON can hold; the others are dropped."""
    kept: dict[str, Any] = {}
    for key in attributes:
        try:
            if key not in without:
                kept[str(key)] = as_json(attributes[key])
        except (TypeError, ValueError, OSError):
            continue
    return kept


def _text(value: bytes) -> str:
    try:
        return value.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def no_metadata(path: Path) -> VolumeMetadata:
    """Of files that say nothing but shape and dtype."""
    return VolumeMetadata()
