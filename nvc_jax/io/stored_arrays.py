"""Arrays in key-value stores: finding one by the JSON documents that describe it.

Zarr 2 and 3, N5 and neuroglancer's precomputed each keep such a document under a key of their own, so that
the keys of a directory tell the format. An OME-Zarr group lists datasets, the levels of an image, of which
the first has the full resolution.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.io.metadata import attempt

DOCUMENT_KEYS = ("zarr.json", ".zarray", ".zgroup", "attributes.json", "info")
"""Keys of the documents that tell the format: Zarr 3, Zarr 2 (array, group), N5, precomputed."""

_MOST_NAMED = 4
"""Arrays of a group that a message names at most."""
_GROUP_DEPTH = 2
"""Directories above an array in which its OME-Zarr group is looked for: datasets are named `0` or "
"`full/0`."""

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
        level: path of the array in that group; empty if there is none.
        levels: paths of all levels of the image.
    """

    driver: str
    kvstore: ts.KvStore
    document: dict[str, Any]
    attributes: dict[str, Any]
    ome: dict[str, Any] | None = None
    level: str = ""
    levels: tuple[str, ...] = ()


def find_stored_array(kvstore: ts.KvStore, name: str) -> StoredArray | None:
    """Find the array in a directory, or the first dataset of an OME-Zarr group.

    A dataset of such a group may also be named itself, which chooses another level.

    Args:
        kvstore: a store whose path is that of the directory.
        name: name of the directory, for error messages.

    Returns:
        The array, or None if the directory holds neither an array nor a group.

    Raises:
        ValueError: a document is damaged, or describes a group without multiscales, or nothing can be read.
    """
    documents = _read_documents(kvstore, DOCUMENT_KEYS, name, must_answer=True)
    group = _group_attributes(documents, kvstore, name)
    if group is not None:
        return _find_first_dataset(kvstore, group, name)
    array = _make_array(documents, kvstore, name)
    return array if array is None else attempt(lambda: _with_group(array)) or array


def _make_array(
    documents: dict[str, dict[str, Any] | None], kvstore: ts.KvStore, name: str
) -> StoredArray | None:
    """Describe the array of a directory by its documents; None if they are of no array."""
    if (document := documents["zarr.json"]) is not None:
        return StoredArray("zarr3", kvstore, document, dict_or_empty(document.get("attributes")))
    if (document := documents[".zarray"]) is not None:
        return StoredArray("zarr", kvstore, document, _read_attributes(kvstore, name))
    if (document := documents["attributes.json"]) is not None and "dimensions" in document:
        return StoredArray("n5", kvstore, document, document)
    if (document := documents["info"]) is not None and "scales" in document:
        return StoredArray("neuroglancer_precomputed", kvstore, document, document)
    return None


def _group_attributes(
    documents: dict[str, dict[str, Any] | None], kvstore: ts.KvStore, name: str
) -> dict[str, Any] | None:
    """Return the attributes of OME in a directory that is a Zarr group; None if it is none."""
    if (document := documents["zarr.json"]) is not None:
        attributes = dict_or_empty(document.get("attributes"))
        is_group = document.get("node_type") == "group"
        return dict_or_empty(attributes.get("ome", attributes)) if is_group else None
    if documents[".zgroup"] is None or documents[".zarray"] is not None:
        return None
    return _read_attributes(kvstore, name)


def dict_or_empty(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def _read_attributes(kvstore: ts.KvStore, name: str) -> dict[str, Any]:
    """Read the attributes of an array or a group of Zarr 2."""
    return _read_document(kvstore.read(".zattrs"), ".zattrs", name) or {}


def _read_documents(
    kvstore: ts.KvStore, keys: Sequence[str], name: str, *, must_answer: bool = False
) -> dict[str, dict[str, Any] | None]:
    """Read documents, None for those that are missing.

    Raises:
        ValueError: one is damaged; or, with ``must_answer``, none can be read.
    """
    # All at once: a server that does not answer is waited for once.
    reads = [(key, kvstore.read(key)) for key in keys]
    errors = [read.exception() for _, read in reads]
    if must_answer and all(errors):
        raise ValueError(f"`{name}` cannot be read: {errors[0]}")
    return {key: _read_document(read, key, name) for key, read in reads}


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
    path = attempt(lambda: group["multiscales"][0]["datasets"][0]["path"])
    if not isinstance(path, str):
        raise ValueError(f"`{name}` is a Zarr group without multiscales; {_advise(group, kvstore, name)}")

    dataset, dataset_name = kvstore + f"{path.strip('/')}/", f"{name}/{path}"
    documents = _read_documents(dataset, DOCUMENT_KEYS, dataset_name)
    array = None
    if _group_attributes(documents, dataset, dataset_name) is None:
        array = _make_array(documents, dataset, dataset_name)
    if array is None:
        raise ValueError(
            f"`{name}` is an OME-Zarr group whose first dataset `{path}` is no readable Zarr array"
        )
    return _as_level(array, group, path) or array


def _advise(group: dict[str, Any], kvstore: ts.KvStore, name: str) -> str:
    """Return what to name in place of a group that holds images in groups of their own, or arrays."""
    if "plate" in group:
        return f"it is a plate: name a field of a well, such as `{name}/A/1/0`"
    if "bioformats2raw.layout" in group:
        return f"it holds a series of images: name one, such as `{name}/0`"
    arrays = attempt(lambda: _list_arrays(kvstore)) or []
    if not arrays:
        return "name an array in it"
    return f"name an array in it: {', '.join(f'`{name}/{array}`' for array in arrays)}"


def _list_arrays(kvstore: ts.KvStore) -> list[str]:
    """List the first arrays in a group in the file system; none elsewhere, where listing takes long."""
    if kvstore.spec().to_json()["driver"] != "file":
        return []
    directory, arrays = Path(kvstore.path), []
    for folder, folders, files in os.walk(directory):
        folders.sort()
        document = {}
        if "zarr.json" in files:
            document = dict_or_empty(read_json((Path(folder) / "zarr.json").read_bytes()))
        if ".zarray" in files or document.get("node_type") == "array":
            arrays.append(str(Path(folder).relative_to(directory)))
            folders.clear()
        if len(arrays) == _MOST_NAMED:
            break
    return arrays


def _with_group(array: StoredArray) -> StoredArray | None:
    """Add what an OME-Zarr group above an array says of it; None if there is no such group."""
    if array.driver not in ("zarr", "zarr3"):
        return None
    parts = array.kvstore.path.rstrip("/").split("/")
    for depth in range(1, min(_GROUP_DEPTH, len(parts) - 1) + 1):
        parent = array.kvstore.copy()
        parent.path = "/".join([*parts[:-depth], ""])
        documents = _read_documents(parent, ("zarr.json", ".zgroup", ".zarray"), "")
        group = _group_attributes(documents, parent, "")
        level = None if group is None else _as_level(array, group, "/".join(parts[-depth:]))
        if level is not None:
            return level
    return None


def _as_level(array: StoredArray, group: dict[str, Any], path: str) -> StoredArray | None:
    """Add what a group says of a dataset; None if no image of the group has such a dataset."""
    kept: dict[str, Any] = {key: group[key] for key in ("version", "omero") if key in group}
    for multiscale in group.get("multiscales", ()):
        datasets = [dict_or_empty(dataset) for dataset in dict_or_empty(multiscale).get("datasets", ())]
        levels = [str(dataset.get("path", "")) for dataset in datasets]
        for dataset, level in zip(datasets, levels, strict=True):
            if level.strip("/") == path.strip("/"):
                ome = {**kept, "multiscales": [{**multiscale, "datasets": [dataset]}]}
                return dataclasses.replace(array, ome=ome, level=level, levels=tuple(levels))
    return None
