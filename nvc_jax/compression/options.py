"""Options of ``compress``, checked before any work is spent: quality target, chunks, shards, part."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.container.store import open_container
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_grid import MAX_CHUNK_VOXELS
from nvc_jax.core.chunk_interfaces import QualityTarget
from nvc_jax.core.dtypes import is_scalar
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL, padded_shape, spatial_axes, spatial_shape
from nvc_jax.io.axes import default_spatial_axes
from nvc_jax.io.locations import local_path
from nvc_jax.io.paths import check_location
from nvc_jax.io.selection import unselected
from nvc_jax.models.codec import Codec

CHUNK_SIDE = 128
"""Side of a chunk in voxels: larger chunks compress no better and take more memory and time to read from."""
LARGE_CHUNK_SIDE = 64
"""Side of a chunk in large volumes, of which regions are read: the eight chunks that a small region may touch
decode in about 0.1 s."""
_LONGEST_CHUNK_SIDE = 256
"""Largest side of a chunk where other axes are shorter: the transform of an axis takes time in proportion. In
planes it is twice as large."""
_LARGE_VOXELS = 512**3
"""Voxels above which a volume is large."""
_MAX_UNSHARDED_CHUNKS = 512
"""Chunks above which they are stored in shards: file systems and object stores are slow with many objects."""
_SHARD_CHUNKS = 4
"""Chunks of a shard along each axis."""
_PSNR_LIMITS = (10, 90)
"""PSNR in dB that can be asked for: below, nothing is left of a volume; above, float32 rounding limits it."""


class ChunkLayout(NamedTuple):
    """Shapes of the chunks and shards of a container.

    Attributes:
        chunk: voxels of a chunk along each axis.
        shard: voxels of a shard along each axis; None where each chunk is an object of its own.
    """

    chunk: Shape
    shard: Shape | None


def check_target(codec: Codec, **options: Any) -> QualityTarget:
    """Check the quality target and return it as one entry.

    Args:
        codec: the codec that is to keep it.
        options: ``max_error``, ``relative_error``, ``pointwise_error``, ``psnr``, ``step``, ``lossless``;
            None or False for those that were not given.

    Raises:
        TypeError: one is no number.
        ValueError: more than one was given, or it is out of range, or the model cannot keep it.
    """
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    target = {key: _check_number(key, value) for key, value in given.items()}
    if len(target) > 1:
        raise ValueError(
            f"{' and '.join(f'`{key}` (={v})' for key, v in target.items())} exclude each other: "
            "give one of them"
        )
    model = codec.model
    if not target:
        return dict(model.default_target)

    ((name, value),) = target.items()
    if name in ("max_error", "relative_error") and not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` (={value}) must be finite and not negative; without a bound, give a `step` or a `psnr`"
        )
    if name == "pointwise_error" and not 0 < value < 1:
        raise ValueError(
            f"`pointwise_error` (={value}) must be above 0 and below 1, a share of each value's magnitude; "
            "for no error at all take `lossless`"
        )
    if name == "psnr" and not _PSNR_LIMITS[0] <= value <= _PSNR_LIMITS[1]:
        raise ValueError(
            f"`psnr` (={value}) must lie between {_PSNR_LIMITS[0]} and {_PSNR_LIMITS[1]} dB; for a closer "
            "copy, give a `max_error` or `lossless`"
        )
    if name == "step":
        model.check_step(value)
    if name not in model.quality_targets:
        raise ValueError(
            f"`{name}` (={value}) needs a spectral model: leave `model` out, or name one such as "
            f"{DEFAULT_MODEL}"
        )
    return target


def _check_number(name: str, value: Any) -> float | bool:
    """Turn an option into a float, or leave it as it is if it is true and may be.

    Raises:
        TypeError: it is no number.
    """
    if name == "lossless" and value is True:
        return value
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    is_number = is_integer or is_scalar(value)
    if name == "lossless" or not is_number:
        rule = "True or False" if name == "lossless" else "a number"
        raise TypeError(f"`{name}` (={value!r:.80}) must be {rule}, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    # A bound that float64 does not hold becomes the next smaller one.
    is_above = name == "max_error" and is_integer and math.isfinite(number) and number > int(value)
    return math.nextafter(number, 0) if is_above else number


def check_source(source: Any) -> None:
    """Raise ``ValueError`` if the path of a source is that of a container."""
    source = unselected(source)
    if not isinstance(source, str | Path):
        return
    path = local_path(source)
    if path is None or not ((path / METADATA_KEY).is_file() or (path.suffix == ".zip" and path.is_file())):
        return
    try:
        open_container(path)
    except ValueError:
        return
    raise ValueError(
        f"`source` (={source}) is a container, compressed already: decompress it first, or open it by "
        "`nvc_jax.open` and compress what that returns"
    )


def check_types(locations: Mapping[str, Any], on_progress: Any, **switches: Any) -> None:
    """Raise ``TypeError``, which names the argument, if an argument is of a wrong type.

    Args:
        locations: of containers or files, by the names of the arguments.
        on_progress: a function or None.
        switches: true or false; any text, such as ``"no"``, would count as true.
    """
    for name, location in locations.items():
        check_location(location, name)
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"`{name}` (={value!r:.80}) must be True or False, not {type(value).__name__}")
    if on_progress is not None and not callable(on_progress):
        raise TypeError(f"`on_progress` (={on_progress!r:.80}) must be a function, or None")


def choose_layout(
    shape: Shape,
    block_size: int,
    chunks: Sequence[int] | None,
    shards: Sequence[int] | None,
    names: Sequence[Any] | None = None,
) -> ChunkLayout:
    """Choose the shapes of chunks and shards.

    Args:
        shape: of the volume, which has two to five axes.
        block_size: of the model.
        chunks: voxels of a chunk along each axis as the user asked for; None for the default.
        shards: voxels of a shard along each axis as the user asked for; None for the default.
        names: of the axes, which tell those of time and channels from those of space; None if they have none.

    Returns:
        The layout that the container has.

    Raises:
        ValueError: chunks that do not hold whole blocks or have more than three axes, or shards that do not
            hold whole chunks.
    """
    chunk = (
        default_chunk(shape, block_size, names) if chunks is None else _check_chunk(chunks, shape, block_size)
    )
    shard = default_shard(shape, chunk) if shards is None else _check_shard(shards, chunk)
    return ChunkLayout(chunk, None if shard == chunk else shard)


def _check_integers(name: str, numbers: Any) -> None:
    """Raise ``TypeError`` unless an option is a sequence of integers."""
    is_sequence = isinstance(numbers, Sequence | np.ndarray) and not isinstance(numbers, str | bytes)
    if not is_sequence or not all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers
    ):
        example = "(0, 2)" if name == "part" else "(64, 64, 64)"
        raise TypeError(f"`{name}` (={numbers!r:.80}) must be integers, such as {example}")


def _check_chunk(chunks: Sequence[int], shape: Shape, block_size: int) -> Shape:
    _check_integers("chunks", chunks)
    stated = f"`chunks` (={','.join(map(str, chunks))})"
    if len(chunks) != len(shape) or any(side < 1 or (side > 1 and side % block_size) for side in chunks):
        raise ValueError(
            f"{stated} must be {len(shape)} positive multiples of the model's block size (={block_size}), "
            "one for each axis; along an axis of time or channels 1"
        )
    chunk = tuple(map(int, chunks))
    if len([side for side in chunk if side > 1]) > N_SPATIAL:
        raise ValueError(f"{stated} must have at most {N_SPATIAL} sides above 1; make those of other axes 1")
    if math.prod(padded_shape(spatial_shape(chunk, chunk), block_size)) > MAX_CHUNK_VOXELS:
        raise ValueError(
            f"{stated} must have at most {MAX_CHUNK_VOXELS} voxels; leave it out for about "
            f"{CHUNK_SIDE},{CHUNK_SIDE},{CHUNK_SIDE}"
        )
    return chunk


def _check_shard(shards: Sequence[int], chunk: Shape) -> Shape:
    _check_integers("shards", shards)
    if len(shards) != len(chunk) or any(n < 1 or n % part for n, part in zip(shards, chunk, strict=True)):
        raise ValueError(
            f"`shards` (={','.join(map(str, shards))}) must be {len(chunk)} positive multiples of the chunks "
            f"(={','.join(map(str, chunk))})"
        )
    return tuple(map(int, shards))


def default_chunk(shape: Shape, block_size: int, names: Sequence[Any] | None = None) -> Shape:
    """Chunk that divides the volume evenly, so that little is padded: one step of time and channels.

    A chunk has at most about 128³ voxels, and 64³ in volumes of more than 512³; in planes 512². Where an axis
    is shorter than that, the chunk is longer along the others.
    """
    axes = default_spatial_axes(shape, names)
    n_voxels = math.prod(shape[axis] for axis in axes)
    side = CHUNK_SIDE if n_voxels <= _LARGE_VOXELS else LARGE_CHUNK_SIDE
    # A plane is coded as thick as a block.
    room = float(max(side, block_size) ** N_SPATIAL) / block_size ** (N_SPATIAL - len(axes))
    longest = _LONGEST_CHUNK_SIDE * (1 if len(axes) == N_SPATIAL else 2)
    sides = [1] * len(shape)
    for number, axis in enumerate(sorted(axes, key=lambda axis: shape[axis])):
        largest = max(min(round(room ** (1 / (len(axes) - number))), longest), block_size)
        n_chunks = math.ceil(shape[axis] / largest)
        sides[axis] = math.ceil(math.ceil(shape[axis] / n_chunks) / block_size) * block_size
        room /= sides[axis]
    return tuple(sides)


def default_shard(shape: Shape, chunk: Shape) -> Shape | None:
    """Shard of about 4³ chunks where there would be more than 512 objects, else None."""
    grid = [math.ceil(side / part) for side, part in zip(shape, chunk, strict=True)]
    if math.prod(grid) <= _MAX_UNSHARDED_CHUNKS:
        return None
    axes = spatial_axes(chunk)
    if len(axes) == len(shape):
        return tuple(_SHARD_CHUNKS * side for side in chunk)
    n_chunks = [min(n, _SHARD_CHUNKS) if axis in axes else 1 for axis, n in enumerate(grid)]
    # Chunks of several steps where those of one step are few.
    room = _SHARD_CHUNKS**N_SPATIAL // math.prod(n_chunks)
    for axis in reversed(range(len(shape))):
        if axis not in axes:
            n_chunks[axis] = max(min(grid[axis], room), 1)
            room //= n_chunks[axis]
    return tuple(n * side for n, side in zip(n_chunks, chunk, strict=True))


def check_part(part: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``part`` names one of several writers."""
    _check_integers("part", part)
    if len(part) != 2 or not 0 <= part[0] < part[1]:
        raise ValueError(
            f"`part` (={part}) must be the number of a writer from 0 on, and how many there are, "
            "such as (0, 2)"
        )


def model_name(model: str | Path | Codec) -> str:
    """Name of the model in a container's metadata."""
    return "custom" if isinstance(model, Codec) else Path(model).name
