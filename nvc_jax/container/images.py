"""OME-Zarr images whose levels are containers: a Zarr group that lists them."""

from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.core.json_documents import MAX_BYTES, read_json
from nvc_jax.io.locations import Location, open_location, read_key
from nvc_jax.io.paths import local_path


def find_levels(objects: ts.KvStore) -> list[str]:
    """List the levels of an image, paths below it, the finest first; none where no image lies there.

    Args:
        objects: keys below the directory.
    """
    try:
        text = read_key(objects, METADATA_KEY, MAX_BYTES)
        if text is None:
            return []
        document: Any = read_json(text)
        if document["node_type"] != "group":
            return []
        datasets = document["attributes"]["ome"]["multiscales"][0]["datasets"]
        levels = [dataset["path"] for dataset in datasets]
    except (ValueError, OSError, KeyError, IndexError, TypeError):
        return []
    return levels if all(map(_is_below, levels)) else []


def coarser_levels(location: Location) -> list[Location]:
    """List the locations of the levels of an image after the finest; none where no image lies there.

    Args:
        location: a path or a URL; of a TensorStore spec none are listed.
    """
    if isinstance(location, dict):
        return []
    path = local_path(location)
    return [
        f"{str(location).rstrip('/')}/{level}" if path is None else Path(path) / level
        for level in find_levels(open_location(location))[1:]
    ]


def _is_below(path: Any) -> bool:
    """Tell whether a path leads to a place below the image."""
    return isinstance(path, str) and all(part not in ("", ".", "..") for part in path.split("/"))
