"""Arrays in key-value stores: finding one by the JSON documents that describe it.

Zarr 2 and 3, N5 and neuroglancer's precomputed each keep such a document under a key of their own, so that
the keys of a directory tell the format. An OME-Zarr group lists datasets, of which the first is the full
resolution.
"""

import dataclasses
from typing import Any

import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.io.metadata import attempt

DOCUMENT_KEYS = ("zarr.json", ".zarray", ".zgroup", "attributes.json", "info")
"""Keys of the documents that tell the format: Zarr 3, Zarr 2 (array, group), N5, precomputed."""

X_FIRST_DRIVERS = ("n5", "neuroglancer_precomputed")
"""TensorStore drivers of the formats that list their axes x first."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a key-value store.

    Attributes:
        driver: TensorStore's name of the format.
        kvstore: the store, its path that of the array's directory.
        document: the document that describes the array.
        attributes: attributes that users gave to the array.
        ome: attributes of the OME-Zarr group that holds the array, with this dataset alone; None if there is
            no such group.
    """

    driver: str
    kvstore: ts.KvStore
    document: dict[str, Any]
    attributes: dict[str, Any]
    ome: dict[str, Any] | None = None


def find_stored_array(kvstore: ts.KvStore, name: str) -> StoredArray | None:
    """Find the array in a directory, or the first dataset of an OME-Zarr group.

    Args:
        kvstore: a store whose path is that of the directory.
        name: name of the directory, for error messages.

    Returns:
        The array, or None if the directory holds neither an array nor a group.

    Raises:
        ValueError: a document is damaged, or describes a group without multiscales, or nothing can be read.
    """
    # All at once: a server that does not answer is waited for once.
    reads = [(key, kvstore.read(key)) for key in DOCUMENT_KEYS]
    errors = [read.exception() for _, read in reads]
    if all(errors):
        raise ValueError(f"`{name}` cannot be read: {errors[0]}")
    documents = {key: _read_document(read, key, name) for key, read in reads}

    if (document := documents["zarr.json"]) is not None:
        attributes = dict_or_empty(document.get("attributes"))
        if document.get("node_type") == "group":
            return _find_first_dataset(kvstore, attributes.get("ome", attributes), name)
        return StoredArray("zarr3", kvstore, document, attributes)
    if (document := documents[".zarray"]) is not None:
        return StoredArray("zarr", kvstore, document, _read_attributes(kvstore, name))
    if documents[".zgroup"] is not None:
        return _find_first_dataset(kvstore, _read_attributes(kvstore, name), name)
    if (document := documents["attributes.json"]) is not None and "dimensions" in document:
        return StoredArray("n5", kvstore, document, document)
    if (document := documents["info"]) is not None and "scales" in document:
        return StoredArray("neuroglancer_precomputed", kvstore, document, document)
    return None


def dict_or_empty(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def _read_attributes(kvstore: ts.KvStore, name: str) -> dict[str, Any]:
    """Read the attributes of an array or a group of Zarr 2."""
    return _read_document(kvstore.read(".zattrs"), ".zattrs", name) or {}


def _read_document(read: ts.Future, key: str, name: str) -> dict[str, Any] | None:
    try:
        result = read.result()
    except (ValueError, OSError):
        # A server that does not let keys be listed answers "forbidden" for a key that is missing.
        return None
    if result.state != "value":
        return None
    try:
        document = read_json(bytes(result.value))
    except ValueError as error:
        raise ValueError(f"`{name}`: `{key}` is damaged: {error}") from error
    return dict_or_empty(document)


def _find_first_dataset(kvstore: ts.KvStore, group: dict[str, Any], name: str) -> StoredArray:
    """Find the first dataset of the first multiscale image of an OME-Zarr group."""
    multiscale = attempt(lambda: group["multiscales"][0])
    dataset = attempt(lambda: dict_or_empty(multiscale)["datasets"][0])
    path = attempt(lambda: dict_or_empty(dataset)["path"])
    if not isinstance(path, str):
        raise ValueError(f"`{name}` is a Zarr group without multiscales; name an array in it")

    array = find_stored_array(kvstore + f"{path.strip('/')}/", f"{name}/{path}")
    if array is None or array.ome is not None:
        raise ValueError(
            f"`{name}` is an OME-Zarr group whose first dataset `{path}` is no readable Zarr array"
        )
    kept: dict[str, Any] = {key: group[key] for key in ("version", "omero") if key in group}
    reduced = {**dict_or_empty(multiscale), "datasets": [dataset]}
    return dataclasses.replace(array, ome={**kept, "multiscales": [reduced]})
