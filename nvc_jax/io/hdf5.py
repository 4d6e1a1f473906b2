"""HDF5 files, and NetCDF 4 files, which are HDF5: ``.h5``, ``.hdf5`` and ``.nc``.

``file::/group/dataset`` names a dataset; it may be left out if only one has three axes or more, or else two.
"""

import dataclasses
import math
import warnings
from typing import Any

import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import MAX_RANK, MIN_RANK
from nvc_jax.io.axes import choose_volumes
from nvc_jax.io.coordinates import Coordinates, describe_coordinates, state_coordinates
from nvc_jax.io.declared_values import FILL_VALUE, parse_floats
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.global_attributes import state_global_attributes, warn_of_references
from nvc_jax.io.hdf5_types import check_virtual_sources, enum_attributes, with_empty_values
from nvc_jax.io.lazy import CACHE_BYTES, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    as_json,
    attempt,
    attributes_as_json,
    find_place,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.readable import readable
from nvc_jax.io.unsigned_values import as_meant

LINKS = ("DIMENSION_LABELS", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates")
"""Attributes by which HDF5 and NetCDF link datasets; they are neither kept nor written anew."""
CLASS, SCALE_CLASS = "CLASS", "DIMENSION_SCALE"
_OF_SCALES = (CLASS, "NAME")
"""Attributes by which HDF5 marks coordinates; of other datasets they may be the user's own."""

_READ_VOXELS = 1 << 18
"""Largest number of voxels (64³) to which small chunks are joined for one read: each read costs a call of
h5py under its global lock."""
_MOST_LISTED = 8
"""Datasets that a message lists at most."""


def open_hdf5(file: SourceFile) -> ts.TensorStore:
    """Open a dataset of an HDF5 file.

    The file stays open while the store exists. The last 256 MiB of its chunks are kept; h5py lets one thread
    read at a time. Scale factors and offsets in attributes (NetCDF) are not applied.
    """
    dataset = _find_dataset(file)
    name = f"{file.name}::{file.dataset}" if file.dataset else file.name
    check_virtual_sources(dataset, file.path, name)
    chunk = _join_chunks(dataset.chunks) if dataset.chunks else None
    cache_bytes = CACHE_BYTES if dataset.chunks else 0
    store = lazy_store(
        dataset.__getitem__, dataset.shape, dataset.dtype, name, chunk=chunk, cache_bytes=cache_bytes
    )
    return as_meant(store, _read_attributes(dataset))


def hdf5_metadata(file: SourceFile) -> VolumeMetadata:
    """Read a dataset's attributes, and its dimension scales (NetCDF's coordinates)."""
    return dataset_metadata(_find_dataset(file))


def dataset_metadata(dataset: Any) -> VolumeMetadata:
    """Read the metadata of an open dataset of h5py, and the attributes of the groups that it is in.

    A warning names attributes that JSON cannot hold, and another one variables that it refers to.
    """
    axes = [_describe_axis(dataset, axis) for axis in kept_axes(dataset.shape)]
    rank = len(axes)
    spacing = parse_spacing([axis.spacing for axis in axes], rank)
    # The attribute by which ImageJ's HDF5 plugin states the spacing.
    element_size = attempt(lambda: parse_spacing(dataset.attrs["element_size_um"]))
    _warn_of_losses(dataset, {axis.name for axis in axes})
    use_element_size = spacing is None and element_size is not None and rank == 3
    return VolumeMetadata(
        dimension_names=parse_names([axis.name for axis in axes], rank),
        spacing=element_size if use_element_size else spacing,
        origin=parse_numbers([axis.origin for axis in axes], rank),
        units=parse_names("um" if use_element_size else [axis.unit for axis in axes], rank),
        attributes=_read_global_attributes(dataset)
        | _read_attributes(dataset)
        | enum_attributes(dataset)
        | state_coordinates([axis.name for axis in axes], [axis.coordinates for axis in axes]),
        missing_values=_read_fill_value(dataset),
    )


def _read_attributes(dataset: Any) -> dict[str, Any]:
    """Read a dataset's attributes; NetCDF stores a single number as an array of one, and tables as JSON."""
    is_scale = attempt(lambda: as_json(dataset.attrs[CLASS]) == SCALE_CLASS)
    hidden = LINKS + _OF_SCALES * bool(is_scale)
    attributes = attributes_as_json(with_empty_values(dataset.attrs), without=hidden)
    return {name: _as_stated(value) for name, value in attributes.items()}


def _groups_of(dataset: Any) -> list[Any]:
    """List the groups that a dataset is in, from the file's own."""
    groups = [dataset.parent]
    while groups[0].name != "/":
        groups.insert(0, groups[0].parent)
    return groups


def _read_global_attributes(dataset: Any) -> dict[str, Any]:
    """Read the attributes of the groups that a dataset is in; those of inner groups take precedence."""
    joined: dict[str, Any] = {}
    for group in _groups_of(dataset):
        joined |= _read_attributes(group)
    return state_global_attributes(joined)


def _warn_of_losses(dataset: Any, kept: set[str | None]) -> None:
    """Warn of attributes that JSON cannot hold, and of datasets that are referred to and not kept.

    Args:
        dataset: of h5py.
        kept: names of its axes.
    """
    h5py = import_extra("h5py", "io")
    name = f"{dataset.file.filename}::{dataset.name}"
    groups, scales = _groups_of(dataset), _scales_of(dataset)
    lost = [
        f"`{key}`"
        for holder in (*groups, dataset)
        for key in holder.attrs
        if key not in (*LINKS, *_OF_SCALES) and key not in _read_attributes(holder)
    ]
    if lost:
        warnings.warn(
            f"`{name}` has the attributes {', '.join(lost)} of types that are not kept, such as complex "
            "numbers and references: keep the file, too",
            stacklevel=2,
        )

    def exists(word: str) -> bool:
        return any(isinstance(attempt(lambda g=group: g[word]), h5py.Dataset) for group in groups)  # type: ignore[misc]

    warn_of_references(name, [_read_attributes(holder) for holder in (dataset, *scales)], exists, kept)


def _scales_of(dataset: Any) -> list[Any]:
    """List the dimension scales of a dataset, one an axis that has one."""
    scales = [attempt(lambda axis=axis: dataset.dims[axis][0]) for axis in range(len(dataset.shape))]  # type: ignore[misc]
    return [scale for scale in scales if scale is not None]


def _as_stated(value: Any) -> Any:
    """Return a single number for a list of one, and a table for its text in JSON."""
    if isinstance(value, list):
        return value[0] if len(value) == 1 else value
    is_table = isinstance(value, str) and value.startswith("[[")
    return (attempt(lambda: read_json(value.encode())) if is_table else None) or value


def _read_fill_value(dataset: Any) -> tuple[float, ...]:
    """Read the value of voxels that were never written, where whoever made the file chose one.

    0 is no such choice, and bytes take every value: NetCDF sets a fill value to them, but does not mean it.
    """
    h5py = import_extra("h5py", "io")
    if FILL_VALUE in dataset.attrs or dataset.dtype.itemsize == 1:
        return ()
    is_chosen = attempt(
        lambda: dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    )
    values = parse_floats(dataset.fillvalue) if is_chosen else []
    return tuple(value for value in values if value != 0)


def _join_chunks(chunk: tuple[int, ...]) -> list[int]:
    """Return the shape of several chunks: the smallest side is doubled up to ``_READ_VOXELS`` voxels."""
    shape = list(chunk)
    while 2 * math.prod(shape) <= _READ_VOXELS:
        shape[shape.index(min(shape))] *= 2
    return shape


def _find_dataset(file: SourceFile) -> Any:
    """Open the file and return the dataset that is named, or the only one that may be a volume."""
    h5py = import_extra("h5py", "io")
    with readable(file.name, "HDF5"):
        hdf5_file = h5py.File(file.path, "r")
    if file.dataset:
        dataset = attempt(lambda: hdf5_file[file.dataset])
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(
                f"`{file.name}` holds no dataset `{file.dataset}`; name one that may be a volume: "
                f"{', '.join(_volume_names(h5py, hdf5_file)) or 'there is none'}"
            )
        return dataset
    names = _volume_names(h5py, hdf5_file)
    if not names:
        raise ValueError(
            f"`{file.name}` holds no dataset with {MIN_RANK} to {MAX_RANK} axes: "
            f"{_describe_datasets(h5py, hdf5_file)}; open it by h5py and pass a part, such as "
            "`file['/dataset'][0]`"
        )
    if len(names) != 1:
        listed = ", ".join(names)
        raise ValueError(f"`{file.name}` holds the datasets {listed}; name one as `{file.name}::{names[0]}`")
    return hdf5_file[names[0]]


def _volume_names(h5py: Any, hdf5_file: Any) -> list[str]:
    """List the datasets that may be volumes, but for those of two axes beside others of more."""
    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            shapes[f"/{name}"] = item.shape

    hdf5_file.visititems(visit)
    return choose_volumes(shapes)


def _describe_datasets(h5py: Any, hdf5_file: Any) -> str:
    """List the first datasets with their shapes."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and len(found) < _MOST_LISTED:
            found.append(f"`/{name}` has shape {item.shape}")

    hdf5_file.visititems(visit)
    return ", ".join(found) or "it has no datasets"


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Name, origin, spacing, unit and coordinates of an axis; None where unknown."""

    name: str | None
    origin: float | None = None
    spacing: float | None = None
    unit: str | None = None
    coordinates: Coordinates | None = None


def _describe_axis(dataset: Any, axis: int) -> _Axis:
    label = attempt(lambda: dataset.dims[axis].label) or None
    scale = attempt(lambda: dataset.dims[axis][0])
    if scale is None:
        return _Axis(label)
    name = label or scale.name.rpartition("/")[2]
    if b"not a netCDF variable" in (attempt(lambda: scale.attrs["NAME"]) or b""):
        return _Axis(name)
    values = attempt(lambda: scale[()])
    coordinates = attempt(lambda: describe_coordinates(values, _read_attributes(scale)))
    origin, spacing = find_place(lambda: values)
    unit = attempt(lambda: as_json(scale.attrs["units"]))
    return _Axis(name, origin, spacing, unit, coordinates)
