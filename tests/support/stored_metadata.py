"""Metadata of stored containers, changed as damage changes them, or as a writer would."""

import json
from pathlib import Path
from typing import Any

from nvc_jax.container.configuration import identify

CONFIGURATION = ("codecs", 0, "configuration")
"""Path of the configuration of the codec in a ``zarr.json`` without shards."""


def change_metadata(store: Path, path: tuple[str | int, ...], value: object, *, seal: bool = True) -> None:
    """Change an entry of a ``zarr.json``.

    Args:
        store: directory of a container without shards.
        path: keys and positions that lead to the entry.
        value: new value of the entry; None removes it.
        seal: whether to give the configuration the checksum of what it then states.
    """
    metadata = json.loads((store / "zarr.json").read_text())
    *parents, last = path
    parent: Any = metadata
    for key in parents:
        parent = parent[key]
    if value is None:
        del parent[last]
    else:
        parent[last] = value
    if seal:
        seal_metadata(metadata)
    (store / "zarr.json").write_text(json.dumps(metadata))


def seal_metadata(metadata: dict[str, Any]) -> None:
    """Give the configuration in Zarr metadata the checksum of what it states, where it can have one."""
    codecs, chunk = metadata["codecs"], metadata["chunk_grid"]["configuration"]["chunk_shape"]
    if codecs and "id" in codecs[0].get("configuration", {}):
        configuration = codecs[0]["configuration"]
        configuration["id"] = identify(configuration, chunk, metadata["data_type"])
