"""The part of a volume that a report shows and measures: whole chunks in the middle of one step."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nvc_jax.container.reader import Reader
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.shapes import Shape, Shape3
from nvc_jax.core.spatial_axes import spatial_axes, spatial_shape
from nvc_jax.evaluation.chunk_checks import mark_valid
from nvc_jax.evaluation.containers import check_same_type, open_reader
from nvc_jax.io.lazy import read_region
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.selection import Selection
from nvc_jax.io.volumes import open_volume, read_metadata

MOST_VOXELS = 1 << 23
"""Voxels of an excerpt, unless one chunk has more: the measures take about 100 bytes for each."""


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """A part of an original and of its container.

    Attributes:
        region: of the volume.
        names: of the volume's axes.
        volume_shape: of the whole volume.
        axes: names of z, y and x of the arrays below; ``""`` for an axis that the volume does not have.
        starts: first voxel along them.
        spacing: distance of voxels along them, 1 where it is not known.
        units: of the spacing; ``""`` where they are not known.
        value_unit: of the values; ``""`` where it is not known.
        original: (z, y, x), in the volume's dtype.
        decoded: of the same shape and dtype.
        valid: bool of the same shape, true for the values that are measurements.
        stored_bytes: bytes of the chunks that hold the excerpt; of a whole volume all that is stored.
    """

    region: Region
    names: tuple[str, ...]
    volume_shape: Shape
    axes: tuple[str, str, str]
    starts: Shape3
    spacing: tuple[float, float, float]
    units: tuple[str, str, str]
    value_unit: str
    original: np.ndarray
    decoded: np.ndarray
    valid: np.ndarray
    stored_bytes: int

    @property
    def is_whole(self) -> bool:
        """True if the excerpt is all of the volume."""
        return self.original.size == math.prod(self.volume_shape)

    def describe(self) -> str:
        """Say what part of the volume this is."""
        if self.is_whole:
            return f"All {self.original.size:,} voxels of the volume."
        share = self.original.size / math.prod(self.volume_shape)
        places = ", ".join(
            f"{name} = {part.start}" if part.stop - part.start == 1 else f"{name} = {part.start}:{part.stop}"
            for name, part in zip(self.names, self.region, strict=True)
        )
        n_voxels = math.prod(self.volume_shape)
        return f"{self.original.size:,} of {n_voxels:,} voxels ({100 * share:.3g} %): {places}."

    @cached_property
    def floats(self) -> tuple[np.ndarray, np.ndarray]:
        """Both arrays as float64, NaN where the original is no measurement."""
        return (
            np.where(self.valid, self.original.astype(np.float64), np.nan),
            np.where(self.valid, self.decoded.astype(np.float64), np.nan),
        )


def take_excerpt(original: Any, container: Any, at: str | Mapping[str | int, int] | None) -> Excerpt:
    """Read a part of an original, and decode the same part of its container.

    Args:
        original: the volume that was compressed; any source that ``open_volume`` reads.
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        at: place along axes of which chunks hold one step, such as ``"t=3"``; the middle where it is not
            named.

    Raises:
        FileNotFoundError: there is no such original or container.
        FormatError: the container is damaged, or the location holds none.
        ValueError: the original has another shape or dtype, or ``at`` names no such place.
    """
    reader = open_reader(original, container)
    volume = open_volume(original)
    metadata = reader.metadata
    check_same_type(volume.shape, volume.dtype.numpy_dtype, metadata)
    source = read_metadata(original)
    names = source.complete_names(len(metadata.shape))
    region = _choose_region(reader, names, at)
    values, decoded = read_region(volume, region), reader.decode(region, on_devices=True)
    shape = spatial_shape(values.shape, metadata.chunk)
    axes, starts = _spatial(metadata.chunk, names, ""), _spatial(metadata.chunk, [r.start for r in region], 0)
    spacing, units = _read_spacing(source, metadata.chunk)
    unit = source.attributes.get("units", "")
    return Excerpt(
        region=region,
        names=names,
        volume_shape=metadata.shape,
        axes=axes,
        starts=starts,
        spacing=spacing,
        units=units,
        value_unit=unit if isinstance(unit, str) else "",
        original=values.reshape(shape),
        decoded=decoded.reshape(shape),
        valid=mark_valid(values, metadata).reshape(shape),
        stored_bytes=_stored_bytes(reader, region),
    )


def _choose_region(reader: Reader, names: Sequence[str], at: str | Mapping[str | int, int] | None) -> Region:
    """Choose whole chunks round the middle of one step; of a chunk that is too large, its middle."""
    shape, chunk = reader.shape, reader.chunk
    middles = _find_places(shape, chunk, names, at)
    region = [slice(middle, middle + 1) for middle in middles]
    axes = spatial_axes(chunk)
    for axis in axes:
        first = middles[axis] // chunk[axis] * chunk[axis]
        region[axis] = slice(first, min(first + chunk[axis], shape[axis]))
    grown = True
    while grown:  # by a chunk along the axis whose side is shortest and that can grow
        grown = False
        for axis in sorted(axes, key=lambda axis: region[axis].stop - region[axis].start):
            part = region[axis]
            before = max(part.start - chunk[axis], 0)
            after = min(part.stop + chunk[axis], shape[axis])
            is_late = part.start > shape[axis] - part.stop
            wider = slice(before, part.stop) if is_late else slice(part.start, after)
            sides = [p.stop - p.start for p in (*region[:axis], wider, *region[axis + 1 :])]
            if wider != part and math.prod(sides) <= MOST_VOXELS:
                region[axis], grown = wider, True
                break
    return _within_limit(region, axes)


def _within_limit(region: list[slice], axes: Sequence[int]) -> Region:
    """Halve the longest side of a region of one chunk, about its middle, until it has few enough voxels."""
    while math.prod(part.stop - part.start for part in region) > MOST_VOXELS:
        axis = max(axes, key=lambda axis: region[axis].stop - region[axis].start)
        quarter = (region[axis].stop - region[axis].start) // 4
        region[axis] = slice(region[axis].start + quarter, region[axis].stop - quarter)
    return tuple(region)


def _find_places(
    shape: Shape, chunk: Shape, names: Sequence[str], at: str | Mapping[str | int, int] | None
) -> list[int]:
    """Find the voxel round which the excerpt lies: the middle, or what is named along other axes."""
    places = [side // 2 for side in shape]
    try:
        index = Selection(None, at).index(shape, names) if at else ()
    except ValueError as error:
        raise ValueError(str(error).replace("`select`", "`at`")) from error
    for axis, part in enumerate(index):
        if not isinstance(part, int):
            if part != slice(0, shape[axis]):
                raise ValueError(f"`at` (={at}) must name one place along an axis, such as t=3")
        elif axis in spatial_axes(chunk):
            raise ValueError(
                f"`at` (={at}): `{names[axis]}` is an axis of space, and the middle is shown; name a place "
                "along an axis of time or channels, of which chunks hold one step"
            )
        else:
            places[axis] = part
    return places


def _spatial(chunk: Shape, values: Sequence[Any], missing: Any) -> Any:
    """Values of the spatial axes, filled up in front to three."""
    kept = [values[axis] for axis in spatial_axes(chunk)]
    return (*[missing] * (3 - len(kept)), *kept)


def _read_spacing(metadata: VolumeMetadata, chunk: Shape) -> tuple[Any, Any]:
    """Read spacing and units along the spatial axes."""
    n = len(chunk)
    spacing = [value or 1.0 for value in metadata.spacing or (1.0,) * n]
    units = [unit or "" for unit in metadata.units or ("",) * n]
    return _spatial(chunk, spacing, 1.0), _spatial(chunk, units, "")


def _stored_bytes(reader: Reader, region: Region) -> int:
    """Bytes that hold a region: of a whole volume all, else those of the payloads that it touches."""
    if region == tuple(slice(0, side) for side in reader.shape):
        return reader.store.stored_bytes()
    indices = (index for index, _, _ in reader.pieces(region))
    return sum(map_in_order(lambda index: len(reader.store.read(index)), indices))
