"""Checks that a destination does not replace the source."""

from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.container import creation
from nvc_jax.io.locations import Location, local_path


def check_apart(source: Any, destination: Location) -> None:
    target = local_path(destination)
    if target is None or not isinstance(source, str | Path):
        return
    path = local_path(source)
    if path is not None and path.resolve() == target.resolve():
        raise ValueError(f"`destination` (={destination}) is the source itself; it would be replaced")


def check_stores_apart(volume: ts.TensorStore, destination: Location) -> None:
    """Raise if the volume lies where the container is to be."""
    if volume.kvstore is not None and creation.would_replace(destination, volume.kvstore):
        raise ValueError(f"`destination` (={destination}) holds the source itself; it would be replaced")
