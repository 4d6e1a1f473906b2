"""Volumes in memory: NumPy arrays, and labelled arrays like those of xarray."""

from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import check_shape
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    even_spacing,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)


def open_array(array: np.ndarray, name: str) -> ts.TensorStore:
    """Wrap an array as a store; axes of length 1 beyond three are dropped."""
    kept = kept_axes(array.shape)
    array = array[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
    check_shape(array.shape, name)
    native = array.dtype.newbyteorder("=")
    check_dtype(native, name)
    return ts.array(array if array.dtype == native else array.astype(native))


def array_metadata(array: Any) -> VolumeMetadata:
    """Read the names and coordinates of an ``xarray.DataArray``, without importing xarray.

    Any other array has no metadata.
    """
    return attempt(lambda: _labelled_metadata(array)) or VolumeMetadata()


def _labelled_metadata(array: Any) -> VolumeMetadata:
    names = [array.dims[axis] for axis in kept_axes(array.shape)]
    coordinates = [_origin_and_spacing(array, name) for name in names]
    known = [pair for pair in coordinates if pair is not None]
    return VolumeMetadata(
        parse_names(names),
        parse_spacing([spacing for _, spacing in known]),
        parse_numbers([origin for origin, _ in known]),
        attempt(lambda: parse_names([array.coords[name].attrs["units"] for name in names])),
        attributes_as_json(array.attrs),
    )


def _origin_and_spacing(array: Any, name: Any) -> tuple[float, float] | None:
    return attempt(lambda: even_spacing(array.coords[name].values))
