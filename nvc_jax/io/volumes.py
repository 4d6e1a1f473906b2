"""Any source of a 3-D volume as one lazy ``tensorstore.TensorStore``, with its metadata.

Understood: arrays; ``.npy``, ``.npz`` and ``.raw`` named as in Open SciVis (``name_XxYxZ_dtype.raw``, x
fastest); NIfTI, NRRD, TIFF, HDF5 and NetCDF 4; directories and URLs of Zarr 2 and 3, OME-Zarr (its first
dataset), N5 and neuroglancer's precomputed; and anything else that a TensorStore spec or URL names. Axes are
z, y, x; axes of length 1 beyond three are dropped.
"""

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import check_shape
from nvc_jax.io import chunked_stores, hdf5, metadata, nifti, npy, nrrd, raw, tiff
from nvc_jax.io.atomic import check_replaceable, put_in_place, replacing
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    kept_axes,
    names3,
    numbers3,
    regular,
    spacing3,
)
from nvc_jax.io.raw import raw_layout
from nvc_jax.io.writers import check_writable, write_volume, writing

__all__ = [
    "VolumeMetadata",
    "check_replaceable",
    "check_writable",
    "import_extra",
    "open_volume",
    "put_in_place",
    "raw_layout",
    "read_metadata",
    "read_volume",
    "replacing",
    "write_volume",
    "writing",
]

_Open = Callable[[Path, str], ts.TensorStore]
_Describe = Callable[[Path], VolumeMetadata]
_FORMATS: dict[str, tuple[_Open, _Describe]] = {
    ".npy": (npy.open_npy, metadata.no_metadata),
    ".npz": (npy.open_npz, metadata.no_metadata),
    ".raw": (raw.open_raw, raw.raw_metadata),
    **dict.fromkeys((".nii", ".nii.gz"), (nifti.open_nifti, nifti.nifti_metadata)),
    **dict.fromkeys((".nrrd", ".nhdr"), (nrrd.open_nrrd, nrrd.nrrd_metadata)),
    **dict.fromkeys((".tif", ".tiff"), (tiff.open_tiff, tiff.tiff_metadata)),
}
_HDF5 = (".h5", ".hdf5", ".nc")


def open_volume(source: Any) -> ts.TensorStore:
    """Open ``source`` for reading without loading it.

    Regions are read when they are asked for, from several threads if need be. ``.npz`` members,
    ``.nii.gz`` and packed NRRD are unpacked into a temporary file that goes when the store does; TIFF
    whose pages are no stack of planes and NRRD in text are loaded.

    Args:
        source: an array, a ``TensorStore``, a TensorStore spec (dict) or URL, or the path of a file
            (``.npy``; ``.npz``: its member ``volume``, or its only one; ``.raw``; ``.nii``, ``.nii.gz``;
            ``.nrrd``, ``.nhdr``; ``.tif``, ``.tiff``; ``.h5``, ``.hdf5``, ``.nc``: ``path::/dataset``, or
            the only dataset of three axes) or of a directory (Zarr, OME-Zarr, N5, precomputed).

    Returns:
        A store of rank 3 and a supported dtype, with its origin at zero.

    Raises:
        FileNotFoundError: there is no file or directory of that name.
        ModuleNotFoundError: the library that reads the format is not installed.
        TypeError: the dtype is not supported.
        ValueError: wrong rank, an empty side, or a file that is not what its name says.
    """
    name = str(source) if isinstance(source, str | Path) else "volume"
    if isinstance(source, ts.TensorStore):
        store = chunked_stores.arrange(source, "", None)
    elif isinstance(source, dict):
        store = chunked_stores.open_spec(source)
    elif isinstance(source, str | Path):
        store = _open_path(str(source))
    else:
        store = _wrap(np.asarray(source), name)
    check_shape(store.shape, name)
    check_dtype(store.dtype.numpy_dtype, name)
    return store[ts.d[:].translate_to[0]]


def read_volume(source: Any) -> np.ndarray:
    """The whole of ``source`` (see ``open_volume``) as an array."""
    return np.asarray(open_volume(source).read().result())


def read_metadata(source: Any) -> VolumeMetadata:
    """What ``source`` (see ``open_volume``) says of its axes, and its attributes.

    What it does not say, or not in a way that is understood, is left out. An ``xarray.DataArray`` tells by
    its evenly spaced coordinates; other arrays tell nothing.

    Raises:
        FileNotFoundError: there is no file or directory of that name.
        ModuleNotFoundError: the library that reads the format is not installed.
        ValueError: the file is not what its name says.
    """
    if isinstance(source, ts.TensorStore):
        return chunked_stores.store_metadata(source)
    if isinstance(source, dict):
        return chunked_stores.spec_metadata(source)
    if not isinstance(source, str | Path):
        return attempt(lambda: _labelled_metadata(source)) or VolumeMetadata()
    place = _locate(str(source))
    if not isinstance(place, Path):
        node = None if "|" in place else chunked_stores.find_node(chunked_stores.open_kvstore(place), place)
        return (
            chunked_stores.store_metadata(_open_path(place))
            if node is None
            else chunked_stores.node_metadata(node)
        )
    if place.is_dir():
        return chunked_stores.node_metadata(_directory(place, str(source)))
    if place.suffix in _HDF5:
        return hdf5.hdf5_metadata(str(source))
    return _format_of(place, str(source))[1](place.absolute())


def _locate(source: str) -> Path | str:
    """The path of a file or directory that is there, or a URL of something else."""
    if "://" in source:
        scheme, _, path = source.partition("://")
        local = Path(urllib.parse.unquote(path))
        return local if scheme == "file" and local.is_file() else source
    path = source.partition("::")[0]
    found = Path(source if Path(source).exists() or Path(path).suffix not in _HDF5 else path)
    if not found.exists():
        raise FileNotFoundError(f"`{found}` does not exist")
    return found


def _open_path(source: str) -> ts.TensorStore:
    place = _locate(source)
    if not isinstance(place, Path):
        return _open_url(place)
    if place.is_dir():
        node = _directory(place, source)
        try:
            return chunked_stores.open_node(node)
        except ValueError as error:
            raise ValueError(f"`{source}` is a directory but no readable Zarr array: {error}") from error
    if place.suffix in _HDF5:
        return hdf5.open_hdf5(place, source)
    return _format_of(place, source)[0](place.absolute(), source)


def _directory(path: Path, source: str) -> chunked_stores.Node:
    kvstore = chunked_stores.open_kvstore({"driver": "file", "path": f"{path.absolute()}/"})
    node = chunked_stores.find_node(kvstore, source)
    if node is None:
        keys = ", ".join(chunked_stores.KEYS)
        raise ValueError(f"`{source}` is a directory but no readable Zarr array: it holds none of {keys}")
    return node


def _open_url(url: str) -> ts.TensorStore:
    if "|" in url:
        return chunked_stores.open_cached(url)
    node = chunked_stores.find_node(chunked_stores.open_kvstore(url), url)
    if node is not None:
        return chunked_stores.open_node(node)
    return chunked_stores.open_cached({"driver": "auto", "kvstore": url})


def _format_of(path: Path, source: str) -> tuple[_Open, _Describe]:
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffix not in _FORMATS:
        known = ", ".join([*_FORMATS, *_HDF5, ".zarr"])
        raise ValueError(f"`{source}`: the suffix must be one of {known}")
    return _FORMATS[suffix]


def _wrap(array: np.ndarray, name: str) -> ts.TensorStore:
    kept = kept_axes(array.shape)
    array = array[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
    check_shape(array.shape, name)
    native = array.dtype.newbyteorder("=")
    check_dtype(native, name)
    return ts.array(array if array.dtype == native else array.astype(native))


def _labelled_metadata(array: Any) -> VolumeMetadata:
    """Of an ``xarray.DataArray``, without importing it."""
    names = [array.dims[axis] for axis in kept_axes(array.shape)]
    lines = [_line(array, name) for name in names]
    return VolumeMetadata(
        names3(names),
        spacing3([line[1] for line in lines if line]),
        numbers3([line[0] for line in lines if line]),
        attempt(lambda: names3([array.coords[name].attrs["units"] for name in names])),
        attributes_as_json(array.attrs),
    )


def _line(array: Any, name: Any) -> tuple[float, float] | None:
    return attempt(lambda: regular(array.coords[name].values))
