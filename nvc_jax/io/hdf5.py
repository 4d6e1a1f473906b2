"""HDF5 files, and so NetCDF 4."""

import math
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.lazy import CACHE_BYTES, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    as_json,
    attempt,
    attributes_as_json,
    kept_axes,
    names3,
    numbers3,
    regular,
    spacing3,
)
from nvc_jax.io.readable import readable

_HIDDEN = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates")
_CHUNK_VOXELS = 1 << 18


def open_hdf5(path: Path, name: str) -> ts.TensorStore:
    """A dataset of an HDF5 file: ``path::/group/dataset``, or the only one with three axes.

    The file stays open while the store lives, and the last 256 MiB of its chunks are kept; h5py lets one
    thread read at a time. Factors and offsets that attributes state (NetCDF) are not applied.
    """
    dataset = _find_dataset(name)
    options: dict[str, Any] = {}
    if dataset.chunks:
        options = {"chunk": _grown(dataset.chunks), "cache_bytes": CACHE_BYTES}
    return lazy_store(dataset.__getitem__, dataset.shape, dataset.dtype, name, **options)


def _grown(chunk: tuple[int, ...]) -> list[int]:
    """Several chunks at once where they are small."""
    grown = list(chunk)
    while 2 * math.prod(grown) <= _CHUNK_VOXELS:
        grown[grown.index(min(grown))] *= 2
    return grown


def _find_dataset(name: str) -> Any:
    h5py = import_extra("h5py", "io")
    path, _, member = name.partition("::")
    with readable(path, "HDF5"):
        file = h5py.File(path, "r")
    if member:
        found = attempt(lambda: file[member])
        if not isinstance(found, h5py.Dataset):
            raise ValueError(
                f"`{path}` holds no dataset `{member}`; of three axes are {_datasets(h5py, file)}"
            )
        return found
    names = _datasets(h5py, file)
    if len(names) != 1:
        raise ValueError(f"`{path}` holds the datasets {names}; name one as `{path}::/dataset`")
    return file[names[0]]


def _datasets(h5py: Any, file: Any) -> list[str]:
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and len(kept_axes(item.shape)) == 3:
            names.append(f"/{name}")

    file.visititems(visit)
    return names


def hdf5_metadata(name: str) -> VolumeMetadata:
    """A dataset's attributes, and what its dimension scales (NetCDF's coordinates) say."""
    dataset = _find_dataset(name)
    axes = [_axis(dataset, axis) for axis in kept_axes(dataset.shape)]
    lines = [line for _, line, _ in axes if line]
    spacing = spacing3([step for _, step in lines])
    sizes = attempt(lambda: spacing3(dataset.attrs["element_size_um"]))
    return VolumeMetadata(
        dimension_names=names3([name for name, _, _ in axes]),
        spacing=spacing or sizes,
        origin=numbers3([first for first, _ in lines]),
        units=names3("um") if sizes and not spacing else names3([unit for _, _, unit in axes]),
        attributes=attributes_as_json(dataset.attrs, without=_HIDDEN),
    )


def _axis(dataset: Any, axis: int) -> tuple[str | None, tuple[float, float] | None, str | None]:
    """Name, origin and spacing, and unit of an axis."""
    label = attempt(lambda: dataset.dims[axis].label) or None
    scale = attempt(lambda: dataset.dims[axis][0])
    if scale is None:
        return label, None, None
    unit = attempt(lambda: as_json(scale.attrs["units"]))
    return label or scale.name.rpartition("/")[2], attempt(lambda: regular(scale[()])), unit
