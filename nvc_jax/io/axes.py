"""Axes of arrays by their names: those of space, and those of time, channels and the like."""

from collections.abc import Mapping, Sequence
from typing import Any

from nvc_jax.core.shapes import MAX_RANK, MIN_RANK
from nvc_jax.core.spatial_axes import N_SPATIAL

_CHANNEL_NAMES = {
    *("c", "ch", "channel", "channels", "s", "sample", "samples", "band", "bands", "rgb", "rgba"),
    *("component", "components", "vector", "color", "colour"),
}
"""Names, in lower case, of axes along which values are of different kinds."""
_STEP_NAMES = {"ensemble", "member", "realization", "number", "frame", "repetition"}
"""Names, in lower case, of axes along which volumes follow each other."""
_FEW_CHANNELS = 4
"""Channels up to which they are coded apart where a volume of three axes has them: those of colours. More of
them, such as those of a spectrum, are like each other."""
_FEWEST_SPATIAL = 2


def is_channel_name(name: Any) -> bool:
    """Tell whether a name is that of an axis of channels."""
    return str(name).lower() in _CHANNEL_NAMES


def is_time_name(name: Any) -> bool:
    """Tell whether a name is that of an axis of time."""
    return str(name).lower() == "t" or "time" in str(name).lower()


def is_spatial_name(name: Any) -> bool:
    """Tell whether a name may be that of an axis of space: it is none of time, channels and the like."""
    return not (is_channel_name(name) or is_time_name(name) or str(name).lower() in _STEP_NAMES)


def default_spatial_axes(shape: Sequence[int], names: Sequence[Any] | None) -> list[int]:
    """Choose the axes along which a chunk is longer than 1: at most three.

    Of more than three axes they are those that no name says to be of time, channels and the like, or else the
    last three. Of three axes they are all but one of a few channels: a time series of planes is a volume.

    Args:
        shape: of the array, which has two to five axes.
        names: of its axes, if known.
    """
    axes = list(range(len(shape)))
    if names is None or len(names) != len(axes):
        return axes[-N_SPATIAL:]
    if len(axes) > N_SPATIAL:
        chosen = [axis for axis in axes if is_spatial_name(names[axis])]
    else:
        chosen = [axis for axis in axes if not is_channel_name(names[axis]) or shape[axis] > _FEW_CHANNELS]
    return chosen[-N_SPATIAL:] if len(chosen) >= _FEWEST_SPATIAL else axes[-N_SPATIAL:]


def choose_volumes(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """List the arrays of a file that may be its volumes, by name.

    Arrays of two axes, which often are coordinates or bounds of cells, are listed where no other is.

    Args:
        shapes: shape of each array.
    """
    ranks = {name: len([side for side in shape if side != 1]) for name, shape in shapes.items()}
    volumes = [name for name, shape in shapes.items() if len(shape) >= MIN_RANK and ranks[name] <= MAX_RANK]
    deep = [name for name in volumes if len(shapes[name]) > MIN_RANK]
    return deep or volumes
