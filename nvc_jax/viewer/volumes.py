"""Volumes that the viewer shows: containers, in full and as previews, and any other source."""

import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.compression.view import open as open_view
from nvc_jax.container.destinations import holds_container
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_grid import Region, chunks_in_region, first_voxel, shift_region
from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.io.axes import default_spatial_axes
from nvc_jax.io.coordinates import read_coordinates
from nvc_jax.io.declared_values import DeclaredValues, parse_floats, read_declared_values
from nvc_jax.io.lazy import read_region
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata

CACHE_BYTES = 1 << 30
"""Decoded chunks that are kept of all volumes together: one layer of 8 × 8 chunks of 128³ float32 takes half
of it, so that the next slice decodes nothing."""
_LEAST_PIECE = 128
"""Voxels along an axis that are read at a time, at least, where chunks are smaller."""


class Stopped(RuntimeError):
    """End of a read because the viewer ends."""


@dataclasses.dataclass(frozen=True)
class Level:
    """A resolution of a volume.

    Attributes:
        store: its voxels.
        scale: voxels of the volume that make one of the level, along each axis.
    """

    store: ts.TensorStore
    scale: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ViewedVolume:
    """A volume that is shown.

    Attributes:
        name: for people.
        levels: ``full``, and of containers ``preview``.
        metadata: of the volume.
        declared: values that stand for no measurement.
        is_categorical: whether values are labels, which have no mean.
        facts: of a container, a line for people; else empty.
    """

    name: str
    levels: dict[str, Level]
    metadata: VolumeMetadata
    declared: DeclaredValues
    is_categorical: bool
    facts: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(self.levels["full"].store.shape)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the volume."""
        return self.levels["full"].store.dtype.numpy_dtype

    def mark_valid(self, values: np.ndarray) -> np.ndarray:
        """Mark the values that are measurements."""
        return valid_mask(values, *self.declared)

    def describe(self) -> dict[str, Any]:
        """Describe the volume for the page, as JSON can hold it."""
        names = self.metadata.complete_names(len(self.shape))
        return {
            "name": self.name,
            "facts": self.facts,
            "shape": list(self.shape),
            "dtype": str(self.dtype),
            "axes": [self._describe_axis(axis, name) for axis, name in enumerate(names)],
            "spatial": default_spatial_axes(self.shape, names),
            "units": _text(self.metadata.attributes.get("units")),
            "scale_factor": _number(self.metadata.attributes, "scale_factor", 1.0),
            "add_offset": _number(self.metadata.attributes, "add_offset", 0.0),
            "preview": list(self.levels["preview"].scale) if "preview" in self.levels else None,
        }

    def _describe_axis(self, axis: int, name: str) -> dict[str, Any]:
        """Describe an axis: voxel i is at ``origin`` + i · ``spacing``, or at the i-th of ``values``."""
        metadata, side = self.metadata, self.shape[axis]
        spacing, origin, unit = (
            None if part is None else part[axis]
            for part in (metadata.spacing, metadata.origin, metadata.units)
        )
        names = metadata.dimension_names or (None,) * len(self.shape)
        stated = read_coordinates(metadata.attributes, names, self.shape)[axis]
        described = {"name": name, "size": side, "spacing": spacing, "origin": origin, "unit": unit}
        if stated is None:
            return described
        values = [float(value) if np.isfinite(value) else None for value in stated.values]
        return described | {"values": values, "unit": unit or _text(stated.attributes.get("units"))}


def open_viewed(source: Any, *, mode: str = "blend", cache_bytes: int = CACHE_BYTES) -> ViewedVolume:
    """Open a container or any other volume to be shown; nothing is decoded.

    Args:
        source: location of a container, or a source as ``nvc_jax.io.volumes.open_volume`` takes it.
        mode: ``"blend"`` or ``"crop"``; see ``nvc_jax.decode_volume``.
        cache_bytes: bytes of decoded chunks that are kept.

    Raises:
        FileNotFoundError: there is no such container or file.
        ValueError: it is neither a container nor a volume, or is damaged.
    """
    name = "volume"
    if isinstance(source, str | Path | dict):
        name = str(source) if isinstance(source, dict) else str(source).rstrip("/").rpartition("/")[2]
    if holds_container(source):
        return _open_container(source, name, mode, cache_bytes)
    store, metadata = open_volume(source), read_metadata(source)
    dtype = store.dtype.numpy_dtype
    declared = read_declared_values(metadata.attributes, metadata.missing_values, dtype)
    levels = {"full": Level(store, (1,) * store.rank)}
    return ViewedVolume(name, levels, metadata, declared, dtype.kind == "b")


def _open_container(location: Any, name: str, mode: str, cache_bytes: int) -> ViewedVolume:
    view = open_view(location, mode=mode, cache_bytes=cache_bytes)
    stated = open_container(location).metadata
    levels = {"full": Level(view.store, (1,) * view.store.rank)}
    if stated.has_preview:
        preview = open_view(location, mode=mode, level="preview", cache_bytes=cache_bytes // 8)
        levels["preview"] = Level(preview.store, stated.preview_scale)
    ((key, value),) = stated.target.items() or [("", "")]
    target = key.replace("_", " ") + ("" if value is True else f" {value:g}")
    is_lossless_integer = stated.max_error == 0 and view.store.dtype.numpy_dtype.kind in "iub"
    return ViewedVolume(
        name,
        levels,
        view.metadata,
        DeclaredValues(stated.missing_values, stated.valid_limits),
        is_lossless_integer,
        f"container, {target}",
    )


def share_missing_values(volumes: Sequence[ViewedVolume]) -> list[ViewedVolume]:
    """Let what stands for no measurement in one volume do so in all others of its dtype.

    ``compress`` finds missing values that an original does not declare; beside its container the original
    shows them as missing, too.
    """
    shared = []
    for volume in volumes:
        alike = [other.declared for other in (volume, *volumes) if other.dtype == volume.dtype]
        values = dict.fromkeys(value for declared in alike for value in declared.missing_values)
        limits = next((own.valid_limits for own in alike if own.valid_limits != NO_LIMITS), NO_LIMITS)
        shared.append(dataclasses.replace(volume, declared=DeclaredValues(tuple(values), limits)))
    return shared


def read_stoppable(store: ts.TensorStore, region: Region, stopping: threading.Event) -> np.ndarray:
    """Read a region chunk by chunk, several at a time.

    Raises:
        Stopped: ``stopping`` was set meanwhile.
    """
    values = np.empty([part.stop - part.start for part in region], store.dtype.numpy_dtype)
    stored = store.chunk_layout.read_chunk.shape or (1,) * store.rank
    sides = tuple(max(n or 1, 1) * math.ceil(_LEAST_PIECE / max(n or 1, 1)) for n in stored)

    def read_piece(place: Region) -> None:
        if stopping.is_set():
            raise Stopped("the viewer ends")
        values[place] = read_region(store, shift_region(place, first_voxel(region)))

    for _ in map_in_order(read_piece, (place for _, place, _ in chunks_in_region(region, sides))):
        pass
    return values


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(attributes: Mapping[str, Any], name: str, default: float) -> float:
    """Read an attribute that is a finite number."""
    numbers = [number for number in parse_floats(attributes.get(name)) if math.isfinite(number)]
    return float(numbers[0]) if numbers else default
