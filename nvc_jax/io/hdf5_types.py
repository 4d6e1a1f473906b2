"""Declarations that HDF5 makes by types and layouts: names of integers, other files that hold voxels."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.metadata import attempt

_FLAG_VALUES, _FLAG_MEANINGS = "flag_values", "flag_meanings"
"""Attributes by which the CF conventions name integers."""


def enum_attributes(dataset: Any) -> dict[str, Any]:
    """Return the names of an enumeration's values, as the CF conventions state them; none of other types."""
    h5py = import_extra("h5py", "io")
    names = attempt(lambda: h5py.check_enum_dtype(dataset.dtype))
    if not names or _FLAG_VALUES in dataset.attrs or _FLAG_MEANINGS in dataset.attrs:
        return {}
    ordered = sorted(names, key=names.get)
    return {
        _FLAG_VALUES: [int(names[name]) for name in ordered],
        _FLAG_MEANINGS: " ".join("_".join(name.split()) for name in ordered),
    }


def with_empty_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that can be read; those without a value, as of NetCDF, as empty text or list."""
    h5py = import_extra("h5py", "io")
    stated: dict[str, Any] = {}
    for name in attributes:
        try:
            value = attributes[name]
        except (OSError, TypeError, ValueError):
            continue
        if isinstance(value, h5py.Empty):
            value = "" if value.dtype.kind in "SUO" else []
        stated[name] = value
    return stated


def check_virtual_sources(dataset: Any, path: Path, name: str) -> None:
    """Raise ``FileNotFoundError`` if a virtual dataset takes voxels from a file that is not there.

    HDF5 would read them as the fill value, without a word.

    Args:
        dataset: of h5py.
        path: of its file.
        name: of the dataset, for the message.
    """
    if not dataset.is_virtual or os.environ.get("HDF5_VDS_PREFIX"):
        return
    files = dict.fromkeys(source.file_name for source in dataset.virtual_sources())
    places = (path.resolve().parent, Path())
    missing = [
        file
        for file in files
        if file != "." and "%" not in file and not any((place / file).is_file() for place in places)
    ]
    if missing:
        raise FileNotFoundError(
            f"`{name}` takes voxels from {len(missing)} files that are not there, such as `{missing[0]}`: "
            "HDF5 would read them as its fill value; put the files beside it"
        )
