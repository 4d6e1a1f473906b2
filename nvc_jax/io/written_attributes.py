"""Attributes of a volume in the form in which files other than Zarr state them."""

from typing import Any

import numpy as np

from nvc_jax.io.declared_values import FILL_VALUE, parse_floats, read_declared_values
from nvc_jax.io.metadata import VolumeMetadata


def plain_attributes(metadata: VolumeMetadata, dtype: np.dtype) -> dict[str, Any]:
    """Return attributes without coordinates, with missing values as numbers.

    Args:
        metadata: of the volume.
        dtype: of the volume.
    """
    attributes = metadata.without_coordinates().as_attributes(dtype)
    for value in parse_floats(attributes.get(FILL_VALUE)):
        attributes[FILL_VALUE] = int(value) if dtype.kind != "f" else value
    return attributes


def missing_values_of(metadata: VolumeMetadata, dtype: np.dtype) -> tuple[float, ...]:
    """Return the missing values that attributes or the format of the source state, cast to the dtype."""
    return read_declared_values(metadata.attributes, metadata.missing_values, dtype).missing_values


def as_ascii(text: str) -> str:
    """Return text for headers that hold ASCII alone: ``µm`` becomes ``um``, other characters are escaped."""
    plain = text.replace("µ", "u").replace("μ", "u").replace("Å", "Angstrom")
    return plain.encode("ascii", "backslashreplace").decode()
