"""Chunked stores in a key-value store: Zarr 2 and 3, OME-Zarr, N5 and neuroglancer's precomputed.

N5 and precomputed list their axes x first: they are turned to z, y, x.
"""

import dataclasses
import json
from typing import Any

import tensorstore as ts

from nvc_jax.io.locations import rooted
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    kept_axes,
    names3,
    numbers3,
    spacing3,
)

_CONTEXT = ts.Context({"cache_pool": {"total_bytes_limit": 1 << 28}})
KEYS = ("zarr.json", ".zarray", ".zgroup", "attributes.json", "info")
_X_FIRST = ("n5", "neuroglancer_precomputed")


@dataclasses.dataclass(frozen=True)
class Node:
    """An array in a key-value store.

    Attributes:
        driver: TensorStore's name of the format.
        kvstore: with the array's directory as its path.
        document: the array's metadata.
        attributes: the user's.
        ome: the attributes of an OME-Zarr group, with the opened dataset alone; None outside of one.
    """

    driver: str
    kvstore: ts.KvStore
    document: dict[str, Any]
    attributes: dict[str, Any]
    ome: dict[str, Any] | None = None


def open_kvstore(spec: Any) -> ts.KvStore:
    """A key-value store by URL or spec, its path that of a directory."""
    return rooted(ts.KvStore.open(spec).result())


def find_node(kvstore: ts.KvStore, name: str) -> Node | None:
    """The array in a directory, or the first dataset of an OME-Zarr group; None where there is neither.

    Raises:
        ValueError: the metadata are damaged, or of a group without multiscales.
    """
    found = {key: _read_json(kvstore, key, name) for key in KEYS}
    if (document := found["zarr.json"]) is not None:
        attributes = _mapping(document.get("attributes"))
        if document.get("node_type") != "group":
            return Node("zarr3", kvstore, document, attributes)
        return _first_dataset(kvstore, attributes.get("ome", attributes), name)
    if (document := found[".zarray"]) is not None:
        return Node("zarr", kvstore, document, _read_json(kvstore, ".zattrs", name) or {})
    if found[".zgroup"] is not None:
        return _first_dataset(kvstore, _read_json(kvstore, ".zattrs", name) or {}, name)
    if (document := found["attributes.json"]) is not None and "dimensions" in document:
        return Node("n5", kvstore, document, document)
    if (document := found["info"]) is not None and "scales" in document:
        return Node("neuroglancer_precomputed", kvstore, document, document)
    return None


def _read_json(kvstore: ts.KvStore, key: str, name: str) -> dict[str, Any] | None:
    try:
        result = kvstore.read(key).result()
    except (ValueError, OSError):  # Where keys may not be listed, a missing one is a forbidden one.
        return None
    if result.state != "value":
        return None
    try:
        document = json.loads(result.value)
    except ValueError as error:
        raise ValueError(f"`{name}`: `{key}` is damaged: {error}") from error
    return _mapping(document)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_dataset(kvstore: ts.KvStore, group: dict[str, Any], name: str) -> Node:
    multiscale = attempt(lambda: group["multiscales"][0])
    dataset = attempt(lambda: _mapping(multiscale)["datasets"][0])
    path = attempt(lambda: _mapping(dataset)["path"])
    if not isinstance(path, str):
        raise ValueError(f"`{name}` is a Zarr group without multiscales; name an array in it")
    node = find_node(kvstore + f"{path.strip('/')}/", f"{name}/{path}")
    if node is None or node.ome is not None:
        raise ValueError(
            f"`{name}` is an OME-Zarr group whose first dataset `{path}` is no readable Zarr array"
        )
    kept: dict[str, Any] = {key: group[key] for key in ("version", "omero") if key in group}
    reduced = {**_mapping(multiscale), "datasets": [dataset]}
    return dataclasses.replace(node, ome={**kept, "multiscales": [reduced]})


def open_cached(spec: str | dict[str, Any]) -> ts.TensorStore:
    """An array for reading, of which chunks are kept: what is read piece by piece may have larger ones."""
    # Not checked again at every read: what changes while it is read is not a volume.
    return ts.open(spec, read=True, open=True, recheck_cached_data="open", context=_CONTEXT).result()


def open_node(node: Node) -> ts.TensorStore:
    """The array, its axes z, y, x."""
    spec = {"driver": node.driver, "kvstore": node.kvstore.spec().to_json()}
    store = open_cached(spec)
    return arrange(store, node.driver, _describe(node).names)


def open_spec(spec: dict[str, Any]) -> ts.TensorStore:
    """What a TensorStore spec names; turned to z, y, x like ``open_node`` unless it has a transform."""
    node = _node_of_spec(spec)
    if node is not None and spec["driver"] == "auto":
        return open_node(node)
    store = open_cached(spec)
    if node is None:
        return arrange(store, "" if "transform" in spec else str(spec.get("driver")), None)
    return arrange(store, node.driver, _describe(node).names)


def spec_metadata(spec: dict[str, Any]) -> VolumeMetadata:
    """Of what a TensorStore spec names: from the format's own where ``open_node`` could open it."""
    node = _node_of_spec(spec)
    return store_metadata(open_spec(spec)) if node is None else node_metadata(node)


def _node_of_spec(spec: dict[str, Any]) -> Node | None:
    """Where the spec says no more than driver and place."""
    if set(spec) - {"driver", "kvstore", "context", "open", "recheck_cached_metadata", "recheck_cached_data"}:
        return None
    if "kvstore" not in spec or spec.get("driver") not in ("auto", "zarr", "zarr3", *_X_FIRST):
        return None
    kvstore = attempt(lambda: open_kvstore(spec["kvstore"]))
    node = None if kvstore is None else find_node(kvstore, str(spec["kvstore"]))
    return node if node is not None and spec["driver"] in ("auto", node.driver) else None


def arrange(store: ts.TensorStore, driver: str, names: list[Any] | None) -> ts.TensorStore:
    """``store`` with its origin at zero, x last, and without axes of length 1 beyond three."""
    store = store[ts.d[:].translate_to[0]]
    if driver in _X_FIRST:
        store = store.T
    labels = list(store.domain.labels)
    kept = kept_axes(store.shape, names or labels)
    return store[tuple(slice(None) if axis in kept else 0 for axis in range(store.rank))]


@dataclasses.dataclass(frozen=True)
class _Axes:
    """What the metadata say of every axis, z first; lists of the array's rank, or None."""

    names: list[Any] | None = None
    spacing: list[Any] | None = None
    origin: list[Any] | None = None
    units: list[Any] | None = None


def _describe(node: Node) -> _Axes:
    """Of an array of the stored rank; what has another length is left out."""
    described = attempt(lambda: _describe_as(node)) or _Axes()
    rank = len(_stored_shape(node))
    parts = (described.names, described.spacing, described.origin, described.units)
    return _Axes(*(part if isinstance(part, list) and len(part) == rank else None for part in parts))


def _describe_as(node: Node) -> _Axes:
    if node.ome is not None:
        return _describe_ome(node.ome["multiscales"][0])
    if node.driver == "zarr3":
        return _Axes(node.document.get("dimension_names"))
    if node.driver == "zarr":
        return _Axes(node.attributes.get("_ARRAY_DIMENSIONS"))
    return _describe_n5(node.document) if node.driver == "n5" else _describe_precomputed(node.document)


def _describe_ome(multiscale: dict[str, Any]) -> _Axes:
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale.get("axes", "tczyx")]
    spacing, origin = [1.0] * len(axes), [0.0] * len(axes)
    within = multiscale["datasets"][0].get("coordinateTransformations", [])
    for transformation in [*within, *multiscale.get("coordinateTransformations", [])]:
        if "scale" in transformation:
            scale = transformation["scale"]
            spacing = [a * b for a, b in zip(spacing, scale, strict=True)]
            origin = [a * b for a, b in zip(origin, scale, strict=True)]
        if "translation" in transformation:
            origin = [a + b for a, b in zip(origin, transformation["translation"], strict=True)]
    stated = bool(within)
    return _Axes(
        [axis["name"] for axis in axes],
        spacing if stated else None,
        origin if stated else None,
        [axis.get("unit") for axis in axes],
    )


def _describe_n5(document: dict[str, Any]) -> _Axes:
    pixel = _mapping(document.get("pixelResolution"))
    spacing = document.get("resolution", pixel.get("dimensions"))
    units = document.get("units", [pixel.get("unit")] * len(document["dimensions"]))

    def turned(values: Any) -> list[Any] | None:
        return list(values)[::-1] if isinstance(values, list) else None

    return _Axes(turned(document.get("axes")), turned(spacing), None, turned(units))


def _describe_precomputed(document: dict[str, Any]) -> _Axes:
    scale = document["scales"][0]
    spacing = [None, *scale["resolution"][::-1]]
    offsets = scale.get("voxel_offset", [0, 0, 0])[::-1]
    origin = [None, *(offset * side for offset, side in zip(offsets, spacing[1:], strict=True))]
    return _Axes(["channel", "z", "y", "x"], spacing, origin, [None, "nm", "nm", "nm"])


def node_metadata(node: Node) -> VolumeMetadata:
    """What the format says of the axes, in the order of ``open_node``, and the attributes."""
    axes = _describe(node)
    kept = kept_axes(_stored_shape(node), axes.names)

    def pick(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [values[axis] for axis in kept]

    attributes = attributes_as_json(node.attributes)
    stated = VolumeMetadata.of_attributes(pick(axes.names), attributes)
    if node.ome is not None:
        attributes = {**attributes, "ome": node.ome}
    return VolumeMetadata(
        stated.dimension_names,
        spacing3(pick(axes.spacing)) or stated.spacing,
        numbers3(pick(axes.origin)) or stated.origin,
        names3(pick(axes.units)) or stated.units,
        attributes,
    )


def _stored_shape(node: Node) -> tuple[int, ...]:
    """Shape of the stored array, z first; empty where the metadata are damaged."""

    def shape() -> list[int]:
        if node.driver == "n5":
            return node.document["dimensions"][::-1]
        if node.driver == "neuroglancer_precomputed":
            return [node.document["num_channels"], *node.document["scales"][0]["size"][::-1]]
        return list(node.document["shape"])

    return tuple(attempt(shape) or ())


def store_metadata(store: ts.TensorStore) -> VolumeMetadata:
    """What a ``TensorStore`` itself knows: labels, and units with their multipliers."""
    kept = kept_axes(store.shape, list(store.domain.labels))
    units = [unit for axis in kept if (unit := store.dimension_units[axis]) is not None]
    return VolumeMetadata(
        names3([store.domain.labels[axis] or None for axis in kept]),
        spacing=spacing3([unit.multiplier for unit in units]),
        units=names3([unit.base_unit for unit in units]),
    )
