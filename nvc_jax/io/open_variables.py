"""Arrays of files that libraries have open: variables of netCDF4 and h5py, arrays of zarr-python.

NumPy takes their values and drops what they declare: missing values, units, names of axes. The libraries are
not imported.
"""

import dataclasses
from typing import Any

from nvc_jax.io.declared_values import declared_fill_value
from nvc_jax.io.global_attributes import state_global_attributes
from nvc_jax.io.hdf5 import dataset_metadata
from nvc_jax.io.metadata import VolumeMetadata, attributes_as_json, kept_axes

_XARRAY_NAMES = "_ARRAY_DIMENSIONS"
"""Attribute by which xarray names axes in Zarr 2."""


def variable_metadata(source: Any) -> VolumeMetadata | None:
    """Read what an open variable declares; None if it is none of these libraries."""
    if _is_of(source, "h5py", "Dataset"):
        return dataset_metadata(source)
    if _is_of(source, "netCDF4", "Variable"):
        attributes = {name: source.getncattr(name) for name in source.ncattrs()}
        return _with_names(source.shape, source.dimensions, _of_groups(source.group()) | attributes)
    if not _is_of(source, "zarr", "Array"):
        return None
    attributes = dict(source.attrs)
    names = getattr(source.metadata, "dimension_names", None) or attributes.get(_XARRAY_NAMES)
    is_of_xarray = source.metadata.zarr_format == 2 and _XARRAY_NAMES in attributes
    fill_values = declared_fill_value(source.fill_value, is_of_xarray=is_of_xarray)
    return _with_names(source.shape, names, attributes, fill_values)


def stored_values(source: Any) -> Any:
    """Read the stored values of a variable of netCDF4, which would unpack and mask them.

    Any other source is returned as it is.
    """
    if not _is_of(source, "netCDF4", "Variable"):
        return source
    settings = source.mask, source.scale
    source.set_auto_maskandscale(False)
    try:
        return source[...]
    finally:
        source.set_auto_mask(settings[0])
        source.set_auto_scale(settings[1])


def _of_groups(group: Any) -> dict[str, Any]:
    """Return the attributes of a group of netCDF4 and of those that it is in, as one attribute."""
    joined: dict[str, Any] = {}
    while group is not None:
        joined = {name: group.getncattr(name) for name in group.ncattrs()} | joined
        group = group.parent
    return state_global_attributes(joined)


def _with_names(
    shape: Any, names: Any, attributes: dict[str, Any], missing_values: tuple[float, ...] = ()
) -> VolumeMetadata:
    """Join names of axes, as far as they are known, attributes as JSON can hold them and missing values."""
    kept = kept_axes(shape)
    known = list(names) if names is not None and len(names) == len(shape) else [None] * len(shape)
    stated = VolumeMetadata.from_attributes([known[axis] for axis in kept], attributes_as_json(attributes))
    return dataclasses.replace(stated, missing_values=missing_values)


def _is_of(source: Any, library: str, name: str) -> bool:
    """Tell whether an object is of a class of a library, or of one made from it."""
    bases = type(source).__mro__
    return any(base.__name__ == name and base.__module__.partition(".")[0] == library for base in bases)
