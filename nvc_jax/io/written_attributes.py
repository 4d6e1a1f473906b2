"""Attributes of a volume in the form in which files other than Zarr state them."""

import warnings
from typing import Any

import numpy as np

from nvc_jax.core.dtypes import is_float
from nvc_jax.io.declared_values import FILL_VALUE, SCALING, parse_floats, read_declared_values
from nvc_jax.io.metadata import VolumeMetadata


def plain_attributes(metadata: VolumeMetadata, dtype: np.dtype) -> dict[str, Any]:
    """Return attributes without coordinates, with missing values as numbers.

    Args:
        metadata: of the volume.
        dtype: of the volume.
    """
    attributes = metadata.without_coordinates().as_attributes(dtype)
    for value in parse_floats(attributes.get(FILL_VALUE)):
        attributes[FILL_VALUE] = int(value) if not is_float(dtype) else value
    return attributes


def missing_values_of(metadata: VolumeMetadata, dtype: np.dtype) -> tuple[float, ...]:
    """Return the missing values that attributes or the format of the source state, cast to the dtype."""
    return read_declared_values(metadata.attributes, metadata.missing_values, dtype).missing_values


def kept_fields(metadata: VolumeMetadata, format_name: str) -> dict[str, Any]:
    """Return what the source stated in a format's own fields; empty if it was of another format."""
    kept = metadata.attributes.get(format_name)
    return kept if isinstance(kept, dict) else {}


def warn_of_losses(
    metadata: VolumeMetadata, dtype: np.dtype, format_name: str, *, holds_scaling: bool = False
) -> None:
    """Warn of what says how values are to be understood, and has no place in a format.

    Args:
        metadata: of the volume.
        dtype: of the volume.
        format_name: name of the format, which holds no missing values.
        holds_scaling: whether it holds a slope and an intercept.
    """
    lost = [f"the missing value {value:g}" for value in missing_values_of(metadata, dtype)]
    if not holds_scaling:
        lost += [f"`{name}`" for name in sorted(SCALING & metadata.attributes.keys())]
    if lost:
        warnings.warn(
            f"{format_name} has no place for {', '.join(lost)}; the stored values are written as they are",
            stacklevel=2,
        )


def as_ascii(text: str) -> str:
    """Return text for headers that hold ASCII alone: ``µm`` becomes ``um``, other characters are escaped."""
    plain = text.replace("µ", "u").replace("μ", "u").replace("Å", "Angstrom")
    return plain.encode("ascii", "backslashreplace").decode()
