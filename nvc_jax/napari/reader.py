"""Containers as layers of napari: lazy, with a coarse level, scale, names and units of axes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.compression.view import open as open_view
from nvc_jax.container.destinations import holds_container
from nvc_jax.container.images import coarser_levels
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.store import open_container
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volume_view import VolumeView

LayerData = tuple[Any, dict[str, Any], str]
"""Array, or list of levels; arguments of the layer; its type."""
_MULTISCALE_VOXELS = 1 << 24
"""Voxels (256³) above which a layer has a coarse level. In 3-D napari draws the coarsest level alone."""


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader of a path, or of several, for npe2; None unless each holds a container."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(map(holds_container, paths)) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Open containers as layers; nothing is decoded until it is shown.

    Args:
        path: of a container, or of several.

    Raises:
        FormatError: a container is damaged.
        ModuleNotFoundError: dask is not installed.
    """
    return [_read_layer(one) for one in ([path] if isinstance(path, str) else path)]


def _read_layer(path: str) -> LayerData:
    view, stated = open_view(path), open_container(path).metadata
    levels = [_as_dask(one) for one in (view, *map(open_view, coarser_levels(path)))]
    if len(levels) == 1 and math.prod(stated.shape) > _MULTISCALE_VOXELS and stated.has_preview:
        levels.append(_as_dask(open_view(path, level="preview")))
    arguments = {
        "name": Path(path.rstrip("/")).name,
        "contrast_limits": _contrast_limits(stated),
        "metadata": {"nvc": stated.target, "attributes": stated.attributes},
        **_axes(view.metadata, len(stated.shape)),
    }
    if len(levels) > 1:
        return levels, arguments | {"multiscale": True}, "image"
    return levels[0], arguments, "image"


def _as_dask(view: VolumeView) -> Any:
    """Return a view as an array of dask, of which a chunk is decoded at a time."""
    chunks = tuple(view.chunk_layout.read_chunk.shape)
    meta = np.empty((0,) * len(chunks), view.dtype.numpy_dtype)
    return import_extra("dask.array", "napari").from_array(view, chunks=chunks, asarray=True, meta=meta)


def _contrast_limits(stated: ContainerMetadata) -> tuple[float, float]:
    """Return the range that the container states; napari takes none that is empty."""
    low, high = float(stated.minimum), float(stated.maximum)
    return (low, high) if high > low else (low, low + 1)


def _axes(metadata: VolumeMetadata, rank: int) -> dict[str, Any]:
    """Return names, scale, translation and units of axes, as far as they are known."""
    arguments: dict[str, Any] = {"axis_labels": metadata.complete_names(rank)}
    if metadata.spacing is not None:
        arguments["scale"] = [step or 1.0 for step in metadata.spacing]
    if metadata.origin is not None:
        arguments["translate"] = [first or 0.0 for first in metadata.origin]
    if metadata.units is not None and _are_units(metadata.units):
        arguments["units"] = tuple(unit or "pixel" for unit in metadata.units)
    return arguments


def _are_units(names: Sequence[str | None]) -> bool:
    """Tell whether napari, which asks pint, knows units; ``degrees_north`` is none."""
    try:
        registry = import_extra("pint", "napari").get_application_registry()
        return all(name is None or registry.Unit(name) is not None for name in names)
    except Exception:  # pint raises errors of several kinds, of parsers too
        return False
