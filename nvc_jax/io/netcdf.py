"""NetCDF files, ``.nc``: NetCDF 3 by SciPy or ``netcdf5``, and NetCDF 4, which is HDF5.

``file::variable`` names a variable; it may be left out if only one has three axes or more, or else two.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.shapes import MAX_RANK, MIN_RANK
from nvc_jax.io import hdf5
from nvc_jax.io.axes import choose_volumes
from nvc_jax.io.coordinates import Coordinates, describe_coordinates, state_coordinates
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.global_attributes import state_global_attributes, warn_of_references
from nvc_jax.io.last_result import LastResult
from nvc_jax.io.lazy import lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    find_place,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.netcdf5 import VERSION_5, read_netcdf5
from nvc_jax.io.netcdf_variable import NetcdfHeader, NetcdfVariable, plain_attributes
from nvc_jax.io.readable import readable
from nvc_jax.io.unsigned_values import as_meant

_MAGIC = b"CDF"
_VERSIONS = (1, 2)
"""Versions that SciPy reads: with offsets of 32 bits and of 64."""
_HEADERS: LastResult[NetcdfHeader] = LastResult()
"""Headers that were read when a file was opened."""


def open_netcdf(file: SourceFile) -> ts.TensorStore:
    """Open a variable of a NetCDF file.

    Variables of NetCDF 3 are mapped, and stay as they are stored: scale factors and offsets are not applied.
    """
    if not _is_netcdf3(file.path):
        return hdf5.open_hdf5(file)
    variables = _HEADERS.take(file.path, lambda: _read_header(file)).variables
    name = _choose(file, variables)
    variable = variables[name]
    with readable(file.name, "NetCDF"):
        variable.check_size()
    store = lazy_store(
        variable.read, variable.shape, variable.dtype, f"{file.name}::{name}", axis_names=variable.dimensions
    )
    return as_meant(store, variable.attributes)


def netcdf_metadata(file: SourceFile) -> VolumeMetadata:
    """Read the attributes of a variable and of the file, and the variables that its dimensions name.

    A warning names other variables that it refers to.
    """
    if not _is_netcdf3(file.path):
        return hdf5.hdf5_metadata(file)
    header = _HEADERS.take(file.path, lambda: _read_header(file))
    variables, chosen = header.variables, _choose(file, header.variables)
    variable = variables[chosen]
    kept = kept_axes(variable.shape, variable.dimensions)
    names = [variable.dimensions[axis] for axis in kept]
    scales = [variables.get(name) for name in names]
    places = [find_place(lambda scale=scale: scale and scale.read(...)) for scale in scales]  # type: ignore[misc]
    rank = len(names)
    described = [variable.attributes, *(scale.attributes for scale in scales if scale)]
    warn_of_references(f"{file.name}::{chosen}", described, variables.__contains__, names)
    return VolumeMetadata(
        dimension_names=parse_names(names, rank),
        spacing=parse_spacing([spacing for _, spacing in places], rank),
        origin=parse_numbers([origin for origin, _ in places], rank),
        units=parse_names([scale and scale.attributes.get("units") for scale in scales], rank),
        attributes=state_global_attributes(header.attributes)
        | variable.attributes
        | state_coordinates(names, list(map(_coordinates, scales))),
    )


def _coordinates(scale: NetcdfVariable | None) -> Coordinates | None:
    return attempt(lambda: None if scale is None else describe_coordinates(scale.read(...), scale.attributes))


def _is_netcdf3(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def _read_header(file: SourceFile) -> NetcdfHeader:
    """Describe the variables of a NetCDF 3 file, without characters, and the file."""
    from scipy.io import netcdf_file  # takes long to import

    with readable(file.name, "NetCDF"):
        with file.path.open("rb") as stream:
            version = stream.read(len(_MAGIC) + 1)[-1]
        if version == VERSION_5:
            return read_netcdf5(file.path)
        if version not in _VERSIONS:
            raise ValueError(f"it is of version {version} of NetCDF 3, and not of {_VERSIONS} or {VERSION_5}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arrays that are still mapped
            with netcdf_file(file.path, "r", mmap=True) as opened:
                variables = {name: _describe(file.path, opened.variables[name]) for name in opened.variables}
                return NetcdfHeader(variables, plain_attributes(opened._attributes))


def _describe(path: Path, variable: Any) -> NetcdfVariable:
    values = variable.data
    root = values
    while isinstance(root.base, np.ndarray):
        root = root.base
    offset = values.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    # The class has no public list of its attributes.
    attributes = plain_attributes(variable._attributes)
    return NetcdfVariable(
        path,
        values.shape,
        values.dtype,
        values.strides,
        int(offset),
        tuple(variable.dimensions),
        attributes,
    )


def _choose(file: SourceFile, variables: dict[str, NetcdfVariable]) -> str:
    """Return the name of the variable that is named, or of the only one that may be a volume."""
    names = choose_volumes({name: variable.shape for name, variable in variables.items()})
    chosen = file.dataset.strip("/")
    if chosen:
        if chosen not in variables:
            listed = ", ".join(names) or "there is none"
            raise ValueError(
                f"`{file.name}` holds no variable `{chosen}`; name one that may be a volume: {listed}"
            )
        return chosen
    if not names:
        shapes = ", ".join(f"`{name}` has shape {variable.shape}" for name, variable in variables.items())
        raise ValueError(
            f"`{file.name}` holds no variable with {MIN_RANK} to {MAX_RANK} axes: {shapes or 'it has none'}; "
            "open it by `scipy.io.netcdf_file` and pass a part, such as `variable[0]`"
        )
    if len(names) > 1:
        raise ValueError(
            f"`{file.name}` holds the variables {', '.join(names)}; name one as `{file.name}::{names[0]}`"
        )
    return names[0]
