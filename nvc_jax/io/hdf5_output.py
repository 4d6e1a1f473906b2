"""HDF5 files that are written, which are NetCDF 4 files, too: one dataset, ``volume``, with dimension scales.

The samples are contiguous and not compressed, so that they are written by a memory map.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.core.dtypes import DTYPES, integer_limits, is_float
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape, default_names
from nvc_jax.io.coordinates import AXIS_COORDINATES, read_coordinates
from nvc_jax.io.declared_values import FILL_VALUE
from nvc_jax.io.file_format import check_written_dtype
from nvc_jax.io.global_attributes import split_global_attributes
from nvc_jax.io.hdf5 import CLASS, LINKS, SCALE_CLASS
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata, as_json
from nvc_jax.io.written_attributes import plain_attributes

_DATASET = "volume"
_DTYPES = tuple(name for name in DTYPES if name != "bfloat16")
_STORED_UNITS = (FILL_VALUE, "missing_value", "valid_min", "valid_max", "valid_range")
"""Attributes that NetCDF states in the dtype of the samples."""


_ERRNO = re.compile(r"\berrno = (\d+)")
"""Number of the system's error in a message of HDF5."""
_NETCDF = ".nc"
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:10d}"
"""Name by which NetCDF tells that a dimension has no coordinates."""


def check_hdf5_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise an error if h5py is not installed, or a dtype is none of HDF5 and NetCDF."""
    import_extra("h5py", "io")
    check_written_dtype(path, dtype, _DTYPES, "HDF5")


def create_hdf5(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create an HDF5 file with a dataset, its attributes, and coordinates as NetCDF states them."""
    h5py = import_extra("h5py", "io")
    little_endian = dtype.newbyteorder("<")
    with _naming_cause(), h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # so that the samples have their place now
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space, stored = h5py.h5s.create_simple(shape), h5py.h5t.py_create(little_endian)
        dataset = h5py.Dataset(h5py.h5d.create(file.id, _DATASET.encode(), stored, space, properties))
        attributes, of_file = split_global_attributes(plain_attributes(metadata, dtype))
        attributes.pop(AXIS_COORDINATES, None)  # which are written as dimension scales
        is_netcdf = path.suffix.lower() == _NETCDF
        for holder, stated in ((dataset, attributes), (file, of_file)):
            _write_attributes(holder, _for_netcdf(stated) if is_netcdf else stated, dtype)
        _write_axes(file, dataset, metadata, is_netcdf=is_netcdf)
        offset = dataset.id.get_offset()
    return FlatArray(path.absolute(), shape, little_endian, int(offset))


@contextlib.contextmanager
def _naming_cause() -> Iterator[None]:
    """Have the library, which states in a text what the system has refused, raise the system's error."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = _ERRNO.search(str(error))
        if cause is None:
            raise
        raise OSError(int(cause[1]), os.strerror(int(cause[1]))) from error


def _write_attributes(dataset: Any, attributes: Mapping[str, Any], dtype: np.dtype) -> None:
    """Write attributes, but for links between datasets; what HDF5 has no form for is written as JSON."""
    for name, value in attributes.items():
        if not name or name in LINKS or (name, value) == (CLASS, SCALE_CLASS):
            continue
        numbers = _as_stored(value, dtype) if name in _STORED_UNITS else None
        try:
            dataset.attrs[name] = value if numbers is None else numbers
        except (TypeError, ValueError, OSError):
            dataset.attrs[name] = json.dumps(as_json(value))


def _for_netcdf(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give attributes the forms of NetCDF: its library opens no file with tables, and passes over bool."""
    return {name: _as_netcdf(value) for name, value in attributes.items()}


def _as_netcdf(value: Any) -> Any:
    if isinstance(value, bool):
        return np.int8(value)
    if not isinstance(value, list | tuple):
        return value
    if any(isinstance(part, list | tuple) for part in value):
        return json.dumps(as_json(value))
    is_of_bool = bool(value) and all(isinstance(part, bool) for part in value)
    return np.array(value, np.int8) if is_of_bool else value


def _as_stored(value: Any, dtype: np.dtype) -> np.ndarray | None:
    """Convert numbers to the dtype of the samples; None if that would change them."""
    try:
        if is_float(dtype):
            with np.errstate(over="ignore"):
                return np.asarray(value, np.float64).astype(dtype)
        numbers = np.asarray(value, object)
        # Integers of 64 bits never pass through floats.
        integers = [n if isinstance(n, int) else int(float(n)) for n in numbers.reshape(-1)]
    except (OverflowError, TypeError, ValueError):
        return None
    low, high = integer_limits(dtype)
    is_exact = all(
        low <= n <= high and (n == given or n == float(given))
        for n, given in zip(integers, numbers.reshape(-1), strict=True)
    )
    return np.array(integers, dtype).reshape(numbers.shape) if is_exact else None


def _write_axes(file: Any, dataset: Any, metadata: VolumeMetadata, *, is_netcdf: bool) -> None:
    """Name the axes, and write coordinates as dimension scales.

    Where none are known NetCDF has a scale nevertheless, which says so.
    """
    rank = len(dataset.shape)
    names = metadata.complete_names(rank)
    spacing, origin = metadata.spacing or (None,) * rank, metadata.origin or (None,) * rank
    units = metadata.units or (None,) * rank
    is_named = len(set(names)) == len(names) and all(name and "/" not in name for name in names)
    stated = read_coordinates(metadata.attributes, names, dataset.shape)
    for axis, name in enumerate(names if is_named and _DATASET not in names else default_names(rank)):
        step = spacing[axis]
        has_values = stated[axis] is not None or step is not None
        has_scale = has_values or is_netcdf
        if name != names[axis] or not has_scale:
            dataset.dims[axis].label = names[axis]
        if not has_scale:
            continue
        side = dataset.shape[axis]
        if stated[axis] is not None:
            file[name] = stated[axis].values
            described = stated[axis].attributes
            described = _for_netcdf(described) if is_netcdf else described
            _write_attributes(file[name], described, stated[axis].values.dtype)
        elif step is not None:
            file[name] = (origin[axis] or 0.0) + step * np.arange(side)
            if units[axis] is not None:
                file[name].attrs["units"] = units[axis]
        else:
            file.create_dataset(name, (side,), ">f4")
        file[name].make_scale(name if has_values else _NO_VARIABLE.format(side))
        dataset.dims[axis].attach_scale(file[name])
