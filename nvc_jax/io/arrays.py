"""Volumes in memory: NumPy arrays, masked or not, and labelled arrays like those of xarray."""

from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype, ignoring_nan, is_float
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.io.coordinates import Coordinates, describe_coordinates, state_coordinates
from nvc_jax.io.declared_values import FILL_VALUE, SCALING, parse_floats
from nvc_jax.io.memory import wrap_array
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    find_place,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.open_variables import stored_values, variable_metadata


def open_array(array: np.ndarray, name: str) -> ts.TensorStore:
    """Wrap an array as a store; axes of length 1 beyond five are dropped."""
    kept = kept_axes(array.shape)
    array = array[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
    check_array_shape(array.shape, name)
    native = array.dtype.newbyteorder("=")
    check_dtype(native, name)
    return wrap_array(array if array.dtype == native else array.astype(native))


def is_array(source: Any) -> bool:
    """Tell whether NumPy makes an array of an object: of numbers, and of nested lists of such."""
    if hasattr(source, "shape"):
        # An image of nibabel and a sparse matrix have a shape, and are none.
        return hasattr(source, "__array__") or hasattr(source, "__array_interface__")
    try:
        return np.ndim(source) > 0
    except (TypeError, ValueError):
        return False


def as_plain_array(source: Any, name: str) -> np.ndarray:
    """Convert an array of any kind to a plain one, in which masked voxels have the fill value.

    Raises:
        ValueError: a voxel that is not masked has the fill value, or the mask is that of a lazy array.
    """
    if not isinstance(source, np.ma.MaskedArray):
        if _is_lazily_masked(source):
            raise ValueError(
                f"`{name}` (a {type(source).__name__}) may have masked voxels; give them a value first, for "
                "instance with `dask.array.ma.filled`"
            )
        return np.asarray(stored_values(source))
    array = source
    if not _has_masked_voxels(array) or not (array.dtype.kind in "iu" or is_float(array.dtype)):
        return np.asarray(array.data)
    with ignoring_nan(array.dtype):
        is_ambiguous = np.any(array.data[~np.ma.getmaskarray(array)] == array.fill_value)
    if is_ambiguous:
        raise ValueError(
            f"`{name}` has masked voxels whose fill value (={array.fill_value}) other voxels have, too; "
            "choose another one by `set_fill_value`"
        )
    return np.asarray(array.filled())


def _is_lazily_masked(source: Any) -> bool:
    """Tell whether an array of dask computes masked arrays, whose masks NumPy would drop."""
    return isinstance(getattr(source, "_meta", None), np.ma.MaskedArray)


def _has_masked_voxels(array: Any) -> bool:
    return isinstance(array, np.ma.MaskedArray) and bool(np.any(array.mask))


def array_metadata(array: Any) -> VolumeMetadata:
    """Read the metadata of a volume in memory, or that a library has open.

    These are the fill value of a masked array, names and coordinates of an ``xarray.DataArray``, and what a
    variable of h5py, netCDF4 or zarr-python declares. Any other array has none. No library is imported.
    """
    if isinstance(array, np.ma.MaskedArray):
        if not _has_masked_voxels(array):
            return VolumeMetadata()
        # bfloat16 is no number for Python.
        fill_value = float(array.fill_value) if is_float(array.dtype) else array.fill_value
        return VolumeMetadata(missing_values=tuple(parse_floats(fill_value)))
    return variable_metadata(array) or attempt(lambda: _labelled_metadata(array)) or VolumeMetadata()


def _labelled_metadata(array: Any) -> VolumeMetadata:
    names = [array.dims[axis] for axis in kept_axes(array.shape)]
    places = [find_place(lambda name=name: array.coords[name].values) for name in names]  # type: ignore[misc]
    rank = len(names)
    return VolumeMetadata(
        parse_names(names, rank),
        parse_spacing([spacing for _, spacing in places], rank),
        parse_numbers([origin for origin, _ in places], rank),
        parse_names([attempt(lambda name=name: array.coords[name].attrs["units"]) for name in names], rank),  # type: ignore[misc]
        attributes_as_json(array.attrs)
        | state_coordinates(names, [_coordinates(array, name) for name in names]),
        attempt(lambda: _encoded_fill_values(array)) or (),
    )


def _encoded_fill_values(array: Any) -> tuple[float, ...]:
    """Read the missing values that an ``xarray.DataArray`` has when it is stored as it is.

    Those of packed variables are in the units of the packed integers, which the array does not hold.
    """
    if SCALING & array.encoding.keys():
        return ()
    stated = [array.encoding.get(name) for name in (FILL_VALUE, "missing_value")]
    return tuple(dict.fromkeys(parse_floats(stated)))


def _coordinates(array: Any, name: Any) -> Coordinates | None:
    return attempt(lambda: describe_coordinates(array.coords[name].values, array.coords[name].attrs))
