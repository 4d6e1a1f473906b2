"""Any source of a volume as one lazy ``tensorstore.TensorStore``, with its metadata.

Sources are arrays, files of the formats in ``formats``, directories and URLs of chunked stores, and
TensorStore specs. A volume has two to five axes: z, y, x, time, channels. Axes of length 1 are dropped where
their format fills up its axes (NIfTI, MGH, TIFF, precomputed).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.chunk_grid import chunk_regions
from nvc_jax.core.deferred import drop_unused
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.core.spatial_axes import spatial_volume
from nvc_jax.io import arrays, chunked_stores, dicom, raw, slices
from nvc_jax.io.axes import default_spatial_axes
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.formats import FORMAT_OF_SUFFIX, find_format, suffix_of
from nvc_jax.io.locations import check_is_file
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.paths import local_path, real_path, real_spec
from nvc_jax.io.raw import RawFile
from nvc_jax.io.selection import Selection, find_selection, select_metadata
from nvc_jax.io.unsigned_values import as_meant
from nvc_jax.io.volume_view import VolumeView

_OfPlanes = tuple[Callable[[SourceFile], ts.TensorStore], Callable[[SourceFile], VolumeMetadata]]
"""Functions that open a directory with a file for each plane, and read its metadata."""


def open_volume(source: Any) -> ts.TensorStore:
    """Open a volume for reading without loading it.

    A region is read when it is asked for, by several threads if necessary. Some sources cannot be read in
    parts: ``.npz``, ``.nii.gz`` and compressed NRRD are unpacked into a temporary file that is removed
    together with the store; NRRD in text, and TIFF whose pages are not the planes of a volume, are loaded
    into memory.

    Args:
        source: one of

            - an array, a ``TensorStore`` or a view of ``nvc_jax.open``; masked voxels of ``numpy.ma`` have
              the fill value; a variable of netCDF4 its stored values;
            - the path of a file: ``.npy``; ``.npz`` (its array ``volume``, or its only one); ``.raw``, named
              as in Open SciVis (``name_XxYxZ_dtype.raw``, x fastest); ``.nii``, ``.nii.gz``; ``.nrrd``,
              ``.nhdr``; ``.tif``, ``.tiff``; ``.h5``, ``.hdf5``, ``.nc`` (``path::/dataset``, or the only
              dataset that may be a volume);
            - the path or URL of a directory: Zarr 2 or 3, OME-Zarr (its first dataset), N5, neuroglancer's
              precomputed; a folder of slices, each a file of TIFF or PNG; a folder with a DICOM series;
              a DICOM file, whose frames are planes;
            - a ``RawFile``, which states the layout of a raw file of any name;
            - a ``Selection`` of a part of a source, or a name that ends in one: ``scan.nii[t=3:9]``;
            - any other URL or spec (dict) of TensorStore.

    Returns:
        A store of two to five axes and a supported dtype, with its origin at zero.

    Raises:
        FileNotFoundError: there is no file or directory of that name.
        ModuleNotFoundError: the library that reads the format is not installed.
        TypeError: the dtype is not supported.
        ValueError: the source does not have two to five axes, a side is empty, or the file is not of the
            format that its suffix states.
    """
    drop_unused()
    source = find_selection(source)
    if isinstance(source, Selection):
        return _open_selection(source)[0]
    path = source.path if isinstance(source, RawFile) else source
    name = str(path) if isinstance(path, str | Path) else "volume"
    if isinstance(source, VolumeView):
        store = as_meant(chunked_stores.arrange_axes(source.store), source.metadata.attributes)
    elif isinstance(source, ts.TensorStore):
        store = chunked_stores.arrange_axes(source)
    elif isinstance(source, dict):
        store = chunked_stores.open_spec_array(real_spec(source))
    elif isinstance(source, RawFile):
        store = raw.open_raw_file(source)
    elif isinstance(source, str | Path):
        store = _open_named(str(source))
    elif not arrays.is_array(source):
        raise TypeError(
            f"`{name}` (={source!r:.80}) must be an array, a path, a URL, a TensorStore spec or a RawFile, "
            f"not {type(source).__name__}"
        )
    else:
        values = arrays.as_plain_array(source, name)
        store = arrays.open_array(values, name)
        if values.dtype.kind in "iu":
            store = as_meant(store, read_metadata(source).attributes)
    check_array_shape(store.shape, name)
    check_dtype(store.dtype.numpy_dtype, name)
    return store[ts.d[:].translate_to[0]] if any(store.origin) else store


def read_volume(source: Any) -> np.ndarray:
    """Load a volume into memory; ``source`` is as for ``open_volume``."""
    store = open_volume(source)
    values = np.asarray(store.read().result())
    del store  # in this thread: see `core.deferred`
    drop_unused()
    return values


def open_steps(source: Any) -> list[ts.TensorStore]:
    """Open the volumes of three axes that a source holds, one for each time and channel, to be read in parts.

    Args:
        source: a volume as for ``open_volume``, whose errors this function raises.
    """
    volume = open_volume(source)
    axes = default_spatial_axes(volume.shape, read_metadata(source).dimension_names)
    chunk = tuple(side if axis in axes else 1 for axis, side in enumerate(volume.shape))
    return [spatial_volume(volume, region, chunk) for region in chunk_regions(volume.shape, chunk)]


def read_metadata(source: Any) -> VolumeMetadata:
    """Read the metadata of a volume: names of its axes, spacing, origin, units, attributes.

    Metadata that are missing or malformed are left out. An ``xarray.DataArray`` gives spacing and origin if
    its coordinates are evenly spaced; other arrays have no metadata.

    Args:
        source: a volume as for ``open_volume``.

    Raises:
        FileNotFoundError: there is no file or directory of that name.
        ModuleNotFoundError: the library that reads the format is not installed.
        ValueError: the file is not of the format that its suffix states.
    """
    source = find_selection(source)
    if isinstance(source, Selection):
        return _open_selection(source)[1]
    if isinstance(source, VolumeView):
        return source.metadata
    if isinstance(source, RawFile):
        return VolumeMetadata()
    if isinstance(source, ts.TensorStore):
        return chunked_stores.store_metadata(source)
    if isinstance(source, dict):
        return chunked_stores.spec_metadata(real_spec(source))
    if isinstance(source, str | Path):
        return _read_named_metadata(str(source))
    return arrays.array_metadata(source)


def describe_level(source: Any) -> str | None:
    """Describe which level of an OME-Zarr image a path or URL names, such as ``0 of 0, 1, 2``.

    Returns:
        The level and all levels of the image; None for any other source.
    """
    source = find_selection(source)
    if not isinstance(source, str | Path):
        return None
    file = _locate(str(source))
    if file is None:
        return chunked_stores.url_level(real_spec(str(source)))
    if not file.path.is_dir() or _find_planes(file.path) is not None:
        return None
    return chunked_stores.directory_level(file.path, file.name)


def _open_selection(selection: Selection) -> tuple[ts.TensorStore, VolumeMetadata]:
    """Open a part of a source, and read its metadata."""
    store, metadata = open_volume(selection.source), read_metadata(selection.source)
    index = selection.index(store.shape, metadata.complete_names(store.rank))
    selected = store[index][ts.d[:].translate_to[0]]
    check_array_shape(selected.shape, "the selection")
    return selected, select_metadata(metadata, index)


def _open_named(source: str) -> ts.TensorStore:
    file = _locate(source)
    if file is None:
        return chunked_stores.open_url(real_spec(source))
    if file.path.is_dir():
        return _open_directory(file)
    return find_format(file).open(file)


def _read_named_metadata(source: str) -> VolumeMetadata:
    file = _locate(source)
    if file is None:
        return chunked_stores.url_metadata(real_spec(source))
    if file.path.is_dir():
        return _read_directory_metadata(file)
    return find_format(file).read_metadata(file)


def _open_directory(file: SourceFile) -> ts.TensorStore:
    planes = _find_planes(file.path)
    return chunked_stores.open_directory_array(file.path, file.name) if planes is None else planes[0](file)


def _read_directory_metadata(file: SourceFile) -> VolumeMetadata:
    planes = _find_planes(file.path)
    return chunked_stores.directory_metadata(file.path, file.name) if planes is None else planes[1](file)


def _find_planes(path: Path) -> _OfPlanes | None:
    """Find the functions for a directory with files of planes; None for one with a chunked store."""
    if chunked_stores.has_documents(path):
        return None
    if dicom.has_series(path):
        return dicom.open_dicom, dicom.dicom_metadata
    return (slices.open_slices, slices.slices_metadata) if slices.has_slices(path) else None


def _locate(source: str) -> SourceFile | None:
    """Find the file or directory that ``source`` names; None for URLs of directories and of other places.

    ``path::dataset`` is taken apart for formats with datasets, unless there is a file of that very name.
    """
    whole = local_path(source)
    if whole is None or ("://" in source and whole.is_dir() and _find_planes(whole) is None):
        return None

    name, _, dataset = source.partition("::")
    path = local_path(name) or whole
    file_format = FORMAT_OF_SUFFIX.get(suffix_of(path))
    has_datasets = file_format is not None and file_format.has_datasets
    if whole.exists() or not has_datasets:
        name, dataset, path = source, "", whole
    if not path.exists():
        raise FileNotFoundError(f"`{name}` does not exist")
    if path.is_dir():
        return SourceFile(real_path(path), name, dataset)
    check_is_file(path)
    # A link to a file keeps its name, which states the format.
    return SourceFile(path.absolute(), name, dataset)
