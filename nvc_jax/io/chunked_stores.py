"""Volumes in key-value stores: Zarr 2 and 3, OME-Zarr, N5, neuroglancer's precomputed, any TensorStore.

A source is a directory, a URL or a TensorStore spec. N5 and precomputed list their axes x first; they are
reversed to z, y, x.
"""

import math
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.shapes import MAX_RANK, Shape
from nvc_jax.io.declared_values import declared_fill_value
from nvc_jax.io.lazy import CACHE_BYTES
from nvc_jax.io.locations import RETRIES, as_directory, naming_place, open_kvstore
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.paths import check_separators
from nvc_jax.io.stored_arrays import DOCUMENT_KEYS, X_FIRST_DRIVERS, StoredArray, find_stored_array
from nvc_jax.io.stored_axes import describe_axes, stored_shape
from nvc_jax.io.unsigned_values import as_meant
from nvc_jax.io.zarr_coordinates import with_group_coordinates

_SIMPLE_SPEC_KEYS = {
    "driver",
    "kvstore",
    "context",
    "open",
    "recheck_cached_metadata",
    "recheck_cached_data",
}
"""Keys of a spec that names an array and says nothing of its axes."""


def has_documents(path: Path) -> bool:
    """Tell whether a directory has a document of an array or a group in a format of chunked stores."""
    return any((path / key).is_file() for key in DOCUMENT_KEYS)


def open_directory_array(path: Path, name: str) -> ts.TensorStore:
    """Open the array in a directory; ``name`` is the directory's name in error messages."""
    array = _find_in_directory(path, name)
    try:
        return _open_array(array)
    except ValueError as error:
        raise ValueError(f"`{name}` is a directory but no readable Zarr array: {error}") from error


def directory_metadata(path: Path, name: str) -> VolumeMetadata:
    """Read the metadata of the array in a directory."""
    return _array_metadata(_find_in_directory(path, name))


def open_url(url: str) -> ts.TensorStore:
    """Open the array that a URL names.

    A URL with ``|`` names its format itself (``file:///path/|zarr3:``), and its axes are not arranged.
    Otherwise the format is found by its documents, or else by TensorStore.
    """
    if "|" in url:
        return _open_cached(url)
    array = find_stored_array(_open_as_directory(url), url)
    return _open_cached({"driver": "auto", "kvstore": url}) if array is None else _open_array(array)


def url_metadata(url: str) -> VolumeMetadata:
    """Read the metadata of the array that a URL names."""
    array = None if "|" in url else find_stored_array(_open_as_directory(url), url)
    return store_metadata(open_url(url)) if array is None else _array_metadata(array)


def open_spec_array(spec: dict[str, Any]) -> ts.TensorStore:
    """Open the array that a TensorStore spec names; its axes are arranged unless it has a transform."""
    array = _find_by_spec(spec)
    if array is not None and spec["driver"] == "auto":
        return _open_array(array)
    store = _open_cached(spec)
    if array is None:
        return arrange_axes(store, "" if "transform" in spec else str(spec.get("driver")))
    return _arrange(store, array)


def directory_level(path: Path, name: str) -> str | None:
    """Describe which level of an OME-Zarr image a directory is; None if it is of no such image."""
    return _describe_level(_find_in_directory(path, name))


def url_level(url: str) -> str | None:
    """Describe which level of an OME-Zarr image a URL names; None if it is of no such image."""
    array = None if "|" in url else find_stored_array(_open_as_directory(url), url)
    return None if array is None else _describe_level(array)


def _describe_level(array: StoredArray) -> str | None:
    return f"{array.level} of {', '.join(array.levels)}" if array.levels else None


def spec_metadata(spec: dict[str, Any]) -> VolumeMetadata:
    """Read the metadata of the array that a TensorStore spec names."""
    array = _find_by_spec(spec)
    return store_metadata(open_spec_array(spec)) if array is None else _array_metadata(array)


def store_metadata(store: ts.TensorStore) -> VolumeMetadata:
    """Read the metadata that an open ``TensorStore`` has: labels of axes, units with their multipliers."""
    kept = kept_axes(store.shape, list(store.domain.labels))
    units = [store.dimension_units[axis] for axis in kept]
    rank = len(kept)
    return VolumeMetadata(
        parse_names([store.domain.labels[axis] or None for axis in kept], rank),
        spacing=parse_spacing([None if unit is None else unit.multiplier for unit in units], rank),
        units=parse_names([None if unit is None else unit.base_unit for unit in units], rank),
        missing_values=declared_fill_value(attempt(lambda: store.fill_value)),
    )


def arrange_axes(store: ts.TensorStore, driver: str = "", names: list[Any] | None = None) -> ts.TensorStore:
    """Arrange the axes of a store: origin at zero, x last, without axes of length 1 that only fill up.

    Args:
        store: the store.
        driver: its driver; empty if its axes are x last whatever the driver.
        names: names of its axes, x last; the labels of its domain if None.
    """
    store = store[ts.d[:].translate_to[0]]
    if driver in X_FIRST_DRIVERS:
        store = store.T
    kept = kept_axes(store.shape, names or list(store.domain.labels), _rank(driver))
    return store[tuple(slice(None) if axis in kept else 0 for axis in range(store.rank))]


def _rank(driver: str) -> int:
    """Return the number of axes that may remain; precomputed always has an axis of channels."""
    return 3 if driver == "neuroglancer_precomputed" else MAX_RANK


def _open_cached(spec: str | dict[str, Any]) -> ts.TensorStore:
    """Open an array for reading, and keep its decoded chunks as long as it is open; see ``CACHE_BYTES``."""
    # Cached chunks are not checked again at each read: a volume must not change while it is read.
    with naming_place(spec):
        return ts.open(
            spec, read=True, open=True, recheck_cached_data="open", context=_make_context(CACHE_BYTES)
        ).result()


def _make_context(cache_bytes: int) -> ts.Context:
    """Make the resources of one array: a cache that several share would outlive them."""
    return ts.Context({"cache_pool": {"total_bytes_limit": cache_bytes}, **RETRIES})


def without_useless_cache(volume: ts.TensorStore, piece: Shape) -> ts.TensorStore:
    """Open a volume anew without its cache, if whoever reads it piece by piece finds nothing there.

    The cache is of use for volumes that fit into it, for chunks that lie in several pieces, for indices of
    shards, and for arrays that come from afar. Stores that the user has opened stay as they are.

    Args:
        volume: from ``volumes.open_volume``.
        piece: sides along each axis; the first piece begins at the origin.

    Returns:
        A store of the same voxels.
    """
    if volume.kvstore is None or volume.transaction is not None:
        return volume
    context = volume.spec(retain_context=True).to_json().get("context", {})
    n_bytes = math.prod(volume.shape) * volume.dtype.numpy_dtype.itemsize
    if (
        context.get("cache_pool") != {"total_bytes_limit": CACHE_BYTES}
        or volume.kvstore.spec().to_json()["driver"] != "file"
        or n_bytes <= CACHE_BYTES
        or not _holds_whole_chunks(volume.chunk_layout, volume.shape, piece)
    ):
        return volume
    return ts.open(volume.spec(), read=True, open=True, context=_make_context(0)).result()


def _holds_whole_chunks(layout: ts.ChunkLayout, shape: Shape, piece: Shape) -> bool:
    """Tell whether every chunk of a store, which has no shards, lies in one of the pieces of its voxels."""
    origin, chunk = layout.grid_origin, layout.read_chunk.shape
    if origin is None or chunk is None or chunk != layout.write_chunk.shape:
        return False

    def is_whole(n: int, side: int, first: int | None, inner: int | None) -> bool:
        return n >= side or (first is not None and inner is not None and first % inner == n % inner == 0)

    return all(map(is_whole, piece, shape, origin, chunk))


def _open_array(array: StoredArray) -> ts.TensorStore:
    """Open a stored array with its axes arranged."""
    store = _open_cached({"driver": array.driver, "kvstore": array.kvstore.spec().to_json()})
    return _arrange(store, array)


def _arrange(store: ts.TensorStore, array: StoredArray) -> ts.TensorStore:
    """Arrange the axes of a stored array that is open; its integers are those that are meant."""
    return as_meant(arrange_axes(store, array.driver, describe_axes(array).names), array.attributes)


def _open_as_directory(spec: Any) -> ts.KvStore:
    """Open a key-value store by URL or spec, its path that of a directory."""
    return as_directory(open_kvstore(spec))


def _find_in_directory(path: Path, name: str) -> StoredArray:
    check_separators(path.absolute())
    kvstore = _open_as_directory({"driver": "file", "path": f"{path.absolute()}/"})
    array = find_stored_array(kvstore, name)
    if array is None:
        keys = ", ".join(DOCUMENT_KEYS)
        raise ValueError(
            f"`{name}` is a directory but no readable Zarr array: it holds none of {keys}; name a file, "
            "a Zarr array, or a folder of slices or of a DICOM series"
        )
    return array


def _find_by_spec(spec: dict[str, Any]) -> StoredArray | None:
    """Find the array of a spec that gives only the driver and the key-value store; None for other specs."""
    if set(spec) - _SIMPLE_SPEC_KEYS or "kvstore" not in spec:
        return None
    if spec.get("driver") not in ("auto", "zarr", "zarr3", *X_FIRST_DRIVERS):
        return None
    kvstore = attempt(lambda: _open_as_directory(spec["kvstore"]))
    array = None if kvstore is None else find_stored_array(kvstore, str(spec["kvstore"]))
    return array if array is not None and spec["driver"] in ("auto", array.driver) else None


def _array_metadata(array: StoredArray) -> VolumeMetadata:
    """Read the metadata of a stored array, its axes in the order of ``_open_array``."""
    axes = describe_axes(array)
    kept = kept_axes(stored_shape(array), axes.names, _rank(array.driver))
    rank = len(kept)

    def select(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [values[axis] for axis in kept]

    attributes = attributes_as_json(array.attributes)
    names = select(axes.names) or [None] * rank
    from_attributes = VolumeMetadata.from_attributes(names, attributes)
    if array.ome is not None:
        attributes = {**attributes, "ome": array.ome}
    metadata = VolumeMetadata(
        from_attributes.dimension_names,
        parse_spacing(select(axes.spacing), rank) or from_attributes.spacing,
        parse_numbers(select(axes.origin), rank) or from_attributes.origin,
        parse_names(select(axes.units), rank) or from_attributes.units,
        attributes,
        declared_fill_value(
            array.document.get("fill_value"),
            is_of_xarray=array.driver == "zarr" and "_ARRAY_DIMENSIONS" in array.attributes,
        ),
    )
    return with_group_coordinates(metadata, array)
