"""Parts of a source: some steps of time, one channel, a box; named by axes, as in ``t=3:9,c=0``."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nvc_jax.core.shapes import Shape
from nvc_jax.io.axes import is_channel_name, is_time_name
from nvc_jax.io.coordinates import crop_coordinates
from nvc_jax.io.geometry import crop_metadata
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.paths import local_path
from nvc_jax.io.spatial_metadata import metadata_of_axes

_IN_NAME = re.compile(r"(?P<source>.+)\[(?P<parts>[^\[\]=]+=[^\[\]]+)\]", re.DOTALL)
_PART = re.compile(r"\s*(?P<axis>[^=,]+?)\s*=\s*(?P<start>\d*)(?P<colon>:?)(?P<stop>\d*)\s*")
_ALIASES = {"t": is_time_name, "c": is_channel_name}
"""Names that an axis of time or of channels has, too, whatever it is called, if no axis has this one."""
Part = int | slice


@dataclasses.dataclass(frozen=True)
class Selection:
    """A part of a source of a volume, which is a source itself.

    Attributes:
        source: any source that ``open_volume`` takes.
        parts: a number or a slice without a step for each axis that is not taken whole, as a text such as
            ``"t=3:9,c=0"`` or a mapping. An axis is called by its name, or by its position from 0 on. ``t``
            and ``c`` are names of an axis of time and of channels, too. A number drops the axis.
    """

    source: Any
    parts: str | Mapping[str | int, Part]

    def index(self, shape: Shape, names: Sequence[str]) -> tuple[Part, ...]:
        """Return the index of the part in an array.

        Args:
            shape: of the array.
            names: of its axes.

        Raises:
            TypeError: a part is no number and no slice.
            ValueError: an axis is unknown or named twice, or a part lies outside of the array or is empty.
        """
        parts = _parse(self.parts) if isinstance(self.parts, str) else self.parts
        index: list[Part] = [slice(0, side) for side in shape]
        seen: set[int] = set()
        for name, part in parts.items():
            axis = _find_axis(str(name), names, shape)
            if axis in seen:
                raise ValueError(f"`select` (={self.parts}) names the axis `{names[axis]}` twice")
            seen.add(axis)
            index[axis] = _check_part(str(name), part, shape[axis])
        return tuple(index)


def find_selection(source: Any) -> Any:
    """Take a name such as ``scan.nii[t=3:9]`` apart, unless a file has it; else return ``source``."""
    if not isinstance(source, str | Path):
        return source
    match = _IN_NAME.fullmatch(str(source))
    path = local_path(source) if match else None
    if match is None or (path is not None and path.exists()):
        return source
    return Selection(match["source"], match["parts"])


def unselected(source: Any) -> Any:
    """Return the whole source of a selection, or of a selection of one; else ``source``."""
    source = find_selection(source)
    return unselected(source.source) if isinstance(source, Selection) else source


def select_metadata(metadata: VolumeMetadata, index: Sequence[Part]) -> VolumeMetadata:
    """Return the metadata of a part of an array."""
    starts = [part if isinstance(part, int) else part.start for part in index]
    kept = [axis for axis, part in enumerate(index) if not isinstance(part, int)]
    cropped = crop_metadata(metadata, starts, 1) if any(starts) else metadata
    names = metadata.dimension_names or ("",) * len(index)
    attributes = crop_coordinates(
        cropped.attributes,
        [names[axis] for axis in kept],
        [starts[axis] for axis in kept],
        [part.stop - part.start for part in index if isinstance(part, slice)],
        [1] * len(kept),
    )
    return metadata_of_axes(dataclasses.replace(cropped, attributes=attributes), kept)


def _parse(text: str) -> dict[str | int, Part]:
    parts: dict[str | int, Part] = {}
    for entry in text.split(","):
        match = _PART.fullmatch(entry)
        if match is None or not (match["colon"] or match["start"]):
            raise ValueError(
                f"`select` (={text}) must name parts of axes, such as t=3:9,c=0; `{entry}` is none"
            )
        if match["axis"] in parts:
            raise ValueError(f"`select` (={text}) names the axis `{match['axis']}` twice")
        start, stop = (int(match[end]) if match[end] else None for end in ("start", "stop"))
        parts[match["axis"]] = slice(start, stop) if match["colon"] or start is None else start
    return parts


def _find_axis(name: str, names: Sequence[str], shape: Shape) -> int:
    lower = [axis_name.lower() for axis_name in names]
    if name.lower() in lower:
        return lower.index(name.lower())
    if name.isdecimal() and int(name) < len(shape):
        return int(name)
    is_alias = _ALIASES.get(name.lower(), lambda _: False)
    found = [axis for axis, axis_name in enumerate(names) if is_alias(axis_name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{axis_name} ({side})" for axis_name, side in zip(names, shape, strict=True))
    raise ValueError(
        f"`select`: there is no axis `{name}`; the volume has the axes {known}: name one, or give its "
        "position from 0 on"
    )


def _check_part(name: str, part: Any, side: int) -> Part:
    """Complete the bounds of a part of an axis, and check them."""
    if isinstance(part, bool) or not isinstance(part, int | slice):
        raise TypeError(f"`select`: the part of `{name}` (={part!r:.80}) must be a number or a slice")
    start, stop = (part, part + 1) if isinstance(part, int) else (part.start or 0, part.stop)
    stop = side if stop is None else stop
    has_step = isinstance(part, slice) and part.step not in (None, 1)
    if has_step or not 0 <= start < stop <= side:
        stated = str(part) if isinstance(part, int) else f"{start}:{stop}"
        raise ValueError(
            f"`select`: the part of `{name}` (={stated}) must lie within 0:{side}, have no step and not be "
            "empty"
        )
    return part if isinstance(part, int) else slice(start, stop)
