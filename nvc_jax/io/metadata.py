"""Metadata of a volume: names of its axes, spacing, origin, units and attributes.

Files state these in many ways, and often wrongly. Reading metadata therefore never fails: each piece that is
missing or malformed becomes None or is left out, and the other pieces are kept.
"""

import base64
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from nvc_jax.io.declared_values import attributes_for_zarr

Names3 = tuple[str, str, str]
Numbers3 = tuple[float, float, float]

_Result = TypeVar("_Result")

_NON_SPATIAL_NAMES = {"t", "time", "c", "channel", "channels", "s", "sample", "samples", "band"}
"""Names, in lower case, of axes that are not axes of space."""

_SPACING_TOLERANCE = 1e-3
"""Deviation from even spacing that is accepted, in units of the spacing: a thousandth of a voxel shifts
nothing that could be seen."""

_ROUNDING_TOLERANCE = 4 * np.finfo(np.float32).eps
"""Deviation from even spacing that is accepted, relative to the largest coordinate: files often store
coordinates as float32, and each is rounded."""

_NON_FINITE_AS_JSON = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""Zarr's spelling of the floats that JSON has no number for."""


@dataclasses.dataclass(frozen=True)
class VolumeMetadata:
    """Coordinates and attributes of a volume. The axes are z, y, x; a piece that is not known is None.

    Attributes:
        dimension_names: names of the axes.
        spacing: distance between neighbouring voxels, positive, in ``units``.
        origin: position of the first voxel, in ``units``; voxel i is at origin + i · spacing.
        units: units along the axes, in the spelling of the source.
        attributes: the source's own attributes, as JSON can hold them.
        missing_values: values that stand for no measurement, where the format of the source states them
            otherwise than by attributes of the CF conventions.
    """

    dimension_names: Names3 | None = None
    spacing: Numbers3 | None = None
    origin: Numbers3 | None = None
    units: Names3 | None = None
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    missing_values: tuple[float, ...] = ()

    def as_attributes(self, dtype: np.dtype) -> dict[str, Any]:
        """Return attributes of a Zarr 3 array: the source's own, ``spacing``, ``origin`` and ``axis_units``.

        Missing values have the form that xarray reads.

        Args:
            dtype: of the array.
        """
        attributes = attributes_for_zarr(self.attributes, self.missing_values, dtype)
        known = {"spacing": self.spacing, "origin": self.origin, "axis_units": self.units}
        for name, value in known.items():
            # An attribute of the source that has another meaning stays.
            if value is not None and (name not in attributes or _PARSERS[name](attributes[name])):
                attributes[name] = list(value)
        return attributes

    def without_coordinates(self) -> "VolumeMetadata":
        """Keep what is true of any part of the volume: units and attributes."""
        attributes = {key: value for key, value in self.attributes.items() if key not in _PARSERS}
        return VolumeMetadata(attributes=attributes, missing_values=self.missing_values)

    @classmethod
    def from_attributes(cls, dimension_names: Any, attributes: dict[str, Any]) -> "VolumeMetadata":
        """Read metadata from the attributes of a Zarr array, as ``as_attributes`` writes them."""
        return cls(
            parse_names(dimension_names),
            parse_spacing(attributes.get("spacing")),
            parse_numbers(attributes.get("origin")),
            parse_names(attributes.get("axis_units")),
            attributes,
        )


def attempt(read: Callable[[], _Result]) -> _Result | None:
    """Return ``read()``, or None if it fails, as it may on malformed metadata."""
    try:
        return read()
    except Exception:
        return None


def parse_names(values: Any) -> Names3 | None:
    """Return three strings, or None if ``values`` holds anything else; a single string is repeated."""
    if isinstance(values, str):
        return values, values, values
    if not isinstance(values, Iterable):
        return None
    names = list(values)
    if len(names) != 3 or not all(isinstance(name, str) for name in names):
        return None
    return names[0], names[1], names[2]


def parse_numbers(values: Any) -> Numbers3 | None:
    """Return three finite numbers, or None if ``values`` holds anything else."""
    numbers = attempt(lambda: [float(value) for value in values])
    if numbers is None or len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        return None
    return numbers[0], numbers[1], numbers[2]


def parse_spacing(values: Any) -> Numbers3 | None:
    """Return three finite positive numbers, or None if ``values`` holds anything else."""
    numbers = parse_numbers(values)
    return numbers if numbers and min(numbers) > 0 else None


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "spacing": parse_spacing,
    "origin": parse_numbers,
    "axis_units": parse_names,
}
"""Readers of the attributes that ``VolumeMetadata.as_attributes`` adds."""


def axis_aligned_origin(matrix: Any, origin: Any) -> Numbers3 | None:
    """Return ``origin`` in the order z, y, x, or None if the axes are rotated, sheared or mirrored.

    Args:
        matrix: (3, 3) matrix that maps steps along x, y, z of the volume to positions x, y, z.
        origin: position of the first voxel, in the order x, y, z.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (3, 3) or np.any(matrix != np.diag(np.diag(matrix))) or np.any(np.diag(matrix) <= 0):
        return None
    return parse_numbers(list(origin)[::-1])


def even_spacing(coordinates: Any) -> tuple[float, float] | None:
    """Return origin and spacing of ``coordinates`` along an axis, or None unless they rise evenly."""
    values = np.asarray(coordinates, np.float64)
    if values.ndim != 1 or values.size < 2 or not np.all(np.isfinite(values)):
        return None
    step = (values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    tolerance = _SPACING_TOLERANCE * step + _ROUNDING_TOLERANCE * float(np.abs(values).max())
    if step <= 0 or np.abs(values - even).max() > tolerance:
        return None
    return float(values[0]), float(step)


def kept_axes(shape: Sequence[int], names: Sequence[Any] | None = None) -> list[int]:
    """Return the axes that remain when axes of length 1 are dropped until three are left.

    Axes whose names say that they are not axes of space (time, channel) are dropped first, then the
    foremost. If three cannot be reached, all axes remain.

    Args:
        shape: shape of the array.
        names: names of its axes, if known.
    """

    def is_spatial(axis: int) -> bool:
        return names is None or str(names[axis]).lower() not in _NON_SPATIAL_NAMES

    droppable = [axis for axis, side in enumerate(shape) if side == 1]
    droppable.sort(key=lambda axis: (is_spatial(axis), axis))
    dropped = droppable[: max(len(shape) - 3, 0)]
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    return kept if len(kept) == 3 else list(range(len(shape)))


def as_json(value: Any) -> Any:
    """Convert ``value`` to a form that JSON can hold.

    Arrays become lists. NaN and infinities become strings, spelled as in Zarr. Bytes become text, or Base64
    if they are not UTF-8.

    Raises:
        TypeError: the value has no such form.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NON_FINITE_AS_JSON[str(float(value))]
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.item() if value.ndim == 0 else value.tolist())
    if isinstance(value, bytes):
        return _as_text(value)
    if isinstance(value, Mapping):
        return attributes_as_json(value)
    if isinstance(value, list | tuple | set):
        return [as_json(part) for part in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def attributes_as_json(attributes: Mapping[Any, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Convert attributes to JSON. Attributes that JSON cannot hold or ``without`` names are dropped."""
    kept: dict[str, Any] = {}
    for key in attributes:
        try:
            if key not in without:
                kept[str(key)] = as_json(attributes[key])
        except (TypeError, ValueError, OSError):
            continue
    return kept


def _as_text(value: bytes) -> str:
    try:
        return value.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
