"""Units of length by the names that files have for them, and positions in another such unit."""

import dataclasses
from typing import Any

import numpy as np

from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.geometry import AFFINE, DIRECTIONS, ORIGIN
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_numbers, parse_spacing

MICROMETRE, ANGSTROM = "µm", "angstrom"
"""Units whose names differ most from file to file."""
_NAMES = {
    "km": ("kilometer", "kilometre"),
    "m": ("meter", "metre"),
    "in": ("inch",),
    "cm": ("centimeter", "centimetre"),
    "mm": ("millimeter", "millimetre"),
    MICROMETRE: ("um", "μm", "micron", "micrometer", "micrometre"),
    "nm": ("nanometer", "nanometre"),
    ANGSTROM: ("A", "Å", "\u212b", "ångström"),
    "pm": ("picometer", "picometre"),
}
"""Units of length, and other names for them; words may be plurals, and in capitals."""
_UNIT_OF_NAME = {name: unit for unit, names in _NAMES.items() for name in (unit, *names)}
_PICOMETRES = {
    **{"km": 1e15, "m": 1e12, "in": 2.54e10, "cm": 1e10, "mm": 1e9},
    **{MICROMETRE: 1e6, "nm": 1e3, ANGSTROM: 1e2, "pm": 1.0},
}
"""Picometres in a unit, exactly."""


def unit_of_length(name: Any) -> str | None:
    """Return the unit of length that a name means, always by the same name; None if it means none."""
    if not isinstance(name, str):
        return None
    word = name.strip()
    if len(word) > len(MICROMETRE) and word not in _UNIT_OF_NAME:
        word = word.lower().removesuffix("s").replace("inche", "inch")
    return _UNIT_OF_NAME.get(word)


def units_of_lengths(metadata: VolumeMetadata) -> tuple[str, ...] | None:
    """Return the units of length along all axes; None unless all of them have one."""
    units = [unit_of_length(name) for name in metadata.units or ()]
    known = tuple(unit for unit in units if unit is not None)
    return known if known and len(known) == len(units) else None


def is_shorter(unit: str, other: str) -> bool:
    """Tell whether a unit of length is shorter than another one."""
    return _PICOMETRES[unit] < _PICOMETRES[other]


def lengths_in(metadata: VolumeMetadata, unit: str) -> VolumeMetadata:
    """Return metadata of the axes z, y, x with positions in another unit of length.

    Numbers along axes whose unit is none of length, or is not known, stay as they are.
    """
    if metadata.units is None or len(metadata.units) != N_SPATIAL:
        return metadata
    found = [unit_of_length(name) for name in metadata.units]
    factors = np.array([1.0 if name is None else _PICOMETRES[name] / _PICOMETRES[unit] for name in found])
    if (factors == 1).all():
        return metadata
    attributes = dict(metadata.attributes)
    of_space = factors[::-1]  # along x, y, z of positions
    for name, scale in (
        (AFFINE, np.append(of_space, 1)[:, None]),
        (DIRECTIONS, of_space),
        (ORIGIN, of_space),
    ):
        if name in attributes:
            attributes[name] = _scaled(attributes[name], scale)
    spacing, origin = (
        None
        if numbers is None
        else [None if n is None else n * f for n, f in zip(numbers, factors, strict=True)]
        for numbers in (metadata.spacing, metadata.origin)
    )
    return dataclasses.replace(
        metadata, spacing=parse_spacing(spacing), origin=parse_numbers(origin), attributes=attributes
    )


def _scaled(stated: Any, scale: np.ndarray) -> Any:
    """Multiply an attribute; what is no array of numbers of that shape stays as it is."""
    scaled = attempt(lambda: np.asarray(stated, np.float64) * scale)
    return stated if scaled is None else scaled.tolist()
