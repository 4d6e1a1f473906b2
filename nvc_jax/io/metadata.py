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

from nvc_jax.core.shapes import MAX_RANK, default_names
from nvc_jax.io.axes import is_spatial_name
from nvc_jax.io.declared_values import attributes_for_zarr

Names = tuple[str | None, ...]
Numbers = tuple[float | None, ...]

_Result = TypeVar("_Result")

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
    """Coordinates and attributes of an array, axis by axis; a piece that is not known is None.

    Of three axes, z, y and x, each piece is known for all or for none. Of two axes and of more than three,
    some of which may be those of time or channels, a piece may be None for single axes.

    Attributes:
        dimension_names: names of the axes.
        spacing: distance between neighbouring voxels, positive, in ``units``.
        origin: position of the first voxel, in ``units``; voxel i is at origin + i · spacing.
        units: units along the axes, in the spelling of the source.
        attributes: the source's own attributes, as JSON can hold them.
        missing_values: values that stand for no measurement, where the format of the source states them
            otherwise than by attributes of the CF conventions.
    """

    dimension_names: Names | None = None
    spacing: Numbers | None = None
    origin: Numbers | None = None
    units: Names | None = None
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
            if value is None:
                continue
            if name not in attributes or _PARSERS[name](attributes[name], len(value)):
                attributes[name] = list(value)
        return attributes

    def complete_names(self, rank: int) -> tuple[str, ...]:
        """Return a name for each axis of an array: its own, or else a default one."""
        names = self.dimension_names or (None,) * rank
        defaults = [
            name if name not in names else f"dim_{axis}" for axis, name in enumerate(default_names(rank))
        ]
        return tuple(name or default for name, default in zip(names, defaults, strict=True))

    def without_coordinates(self) -> "VolumeMetadata":
        """Keep what is true of any part of the volume: units and attributes."""
        attributes = {key: value for key, value in self.attributes.items() if key not in _PARSERS}
        return VolumeMetadata(attributes=attributes, missing_values=self.missing_values)

    @classmethod
    def from_attributes(cls, dimension_names: Any, attributes: dict[str, Any]) -> "VolumeMetadata":
        """Read metadata from the attributes of a Zarr array, as ``as_attributes`` writes them."""
        rank = len(dimension_names) if isinstance(dimension_names, list | tuple) else 3
        return cls(
            parse_names(dimension_names, rank),
            parse_spacing(attributes.get("spacing"), rank),
            parse_numbers(attributes.get("origin"), rank),
            parse_names(attributes.get("axis_units"), rank),
            attributes,
        )


def attempt(read: Callable[[], _Result]) -> _Result | None:
    """Return ``read()``, or None if it fails, as it may on malformed metadata."""
    try:
        return read()
    except Exception:
        return None


def parse_names(values: Any, rank: int = 3) -> Names | None:
    """Return a string for each axis, or None if ``values`` holds anything else; one string is repeated."""
    if isinstance(values, str):
        return (values,) * rank
    if not isinstance(values, Iterable):
        return None
    return _complete([name if isinstance(name, str) else None for name in values], rank)


def parse_numbers(values: Any, rank: int = 3) -> Numbers | None:
    """Return a finite number for each axis, or None if ``values`` holds anything else."""
    numbers = attempt(lambda: [attempt(lambda value=value: float(value)) for value in values])  # type: ignore[misc]
    if numbers is None:
        return None
    return _complete([n if n is not None and math.isfinite(n) else None for n in numbers], rank)


def parse_spacing(values: Any, rank: int = 3) -> Numbers | None:
    """Return a finite positive number for each axis, or None if ``values`` holds anything else."""
    numbers = parse_numbers(values, rank)
    return numbers and _complete([n if n is not None and n > 0 else None for n in numbers], rank)


def _complete(values: Sequence[_Result | None], rank: int) -> tuple[_Result | None, ...] | None:
    """Return values of as many axes as there are; of three axes all, of others one at least is known."""
    n_known = len(values) - sum(value is None for value in values)
    return None if len(values) != rank or n_known < (rank if rank == 3 else 1) else tuple(values)


_PARSERS: dict[str, Callable[[Any, int], Any]] = {
    "spacing": parse_spacing,
    "origin": parse_numbers,
    "axis_units": parse_names,
}
"""Readers of the attributes that ``VolumeMetadata.as_attributes`` adds."""


def axis_aligned_origin(matrix: Any, origin: Any) -> Numbers | None:
    """Return ``origin`` in the order z, y, x, or None if the axes are rotated, sheared or mirrored.

    Args:
        matrix: (3, 3) matrix that maps steps along x, y, z of the volume to positions x, y, z; of a plane
            (2, 2).
        origin: position of the first voxel, in the order x, y, z.
    """
    matrix, rank = np.asarray(matrix, np.float64), len(origin)
    if rank not in (2, 3) or matrix.shape != (rank, rank):
        return None
    if np.any(matrix != np.diag(np.diag(matrix))) or np.any(np.diag(matrix) <= 0):
        return None
    return parse_numbers(list(origin)[::-1], rank)


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


def find_place(read: Callable[[], Any]) -> tuple[float | None, float | None]:
    """Return origin and spacing of an axis; None where its coordinates are uneven or cannot be read.

    Args:
        read: reads the coordinates.
    """
    return attempt(lambda: even_spacing(read())) or (None, None)


def kept_axes(shape: Sequence[int], names: Sequence[Any] | None = None, rank: int = MAX_RANK) -> list[int]:
    """Return the axes that remain when axes of length 1 are dropped as long as there are more than ``rank``.

    Axes whose names say that they are not axes of space (time, channel) are dropped first, then the
    foremost.

    Args:
        shape: shape of the array.
        names: names of its axes, if known.
        rank: axes that may remain: all that a volume may have; or three of formats that fill up their axes.
    """
    droppable = [axis for axis, side in enumerate(shape) if side == 1]
    droppable.sort(key=lambda axis: (names is None or is_spatial_name(names[axis]), axis))
    dropped = droppable[: max(len(shape) - rank, 0)]
    return [axis for axis in range(len(shape)) if axis not in dropped]


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
