"""Checks of the page's queries: text of a URL becomes numbers that lie within the volumes."""

from collections.abc import Mapping, Sequence

from nvc_jax.viewer.slices import SliceQuery
from nvc_jax.viewer.volumes import ViewedVolume

MOST_PIXELS = 4096
"""Pixels along a side of a slice that is sent: those of a large screen."""


class QueryError(ValueError):
    """A query that asks for something that is not there."""


def read_volumes(query: Mapping[str, str], volumes: Sequence[ViewedVolume]) -> tuple[int, ...]:
    """Read the number of a volume, or of two separated by a comma."""
    chosen = _integers(query, "volume", None)
    if len(chosen) not in (1, 2) or not all(0 <= number < len(volumes) for number in chosen):
        raise QueryError(
            f"`volume` (={query['volume']}) must be a number below {len(volumes)}, or two of them"
        )
    return chosen


def read_index(query: Mapping[str, str], shape: Sequence[int]) -> tuple[int, ...]:
    """Read the position of a voxel."""
    index = _integers(query, "index", len(shape))
    if not all(0 <= at < side for at, side in zip(index, shape, strict=True)):
        raise QueryError(f"`index` (={query['index']}) must lie within the volume {tuple(shape)}")
    return index


def read_slice_query(query: Mapping[str, str], volumes: Sequence[ViewedVolume]) -> SliceQuery:
    """Read all that names a slice.

    Raises:
        QueryError: a part is missing or malformed, or lies outside the volume.
    """
    chosen = read_volumes(query, volumes)
    first = volumes[chosen[0]]
    rank, level = len(first.shape), query.get("level", "full")
    if not all(level in volumes[number].levels for number in chosen):
        raise QueryError(f"`level` (={level}) must be one of {', '.join(first.levels)}")
    axes = _integers(query, "axes", 2)
    if axes[0] == axes[1] or not all(0 <= axis < rank for axis in axes):
        raise QueryError(f"`axes` (={query['axes']}) must be two different axes below {rank}")
    sides = [first.shape[axis] for axis in axes]
    r0, r1, c0, c1 = _integers(query, "window", 4)
    if not (0 <= r0 < r1 <= sides[0] and 0 <= c0 < c1 <= sides[1]):
        raise QueryError(f"`window` (={query['window']}) must lie within the {sides[0]} × {sides[1]} voxels")
    (most,) = _integers(query, "most", 1)
    if not 1 <= most <= MOST_PIXELS:
        raise QueryError(f"`most` (={most}) must be from 1 to {MOST_PIXELS}")
    index = read_index(query, first.shape)
    return SliceQuery(chosen, level, axes[0], axes[1], index, ((r0, r1), (c0, c1)), most)


def _integers(query: Mapping[str, str], name: str, n_numbers: int | None) -> tuple[int, ...]:
    """Read integers that are separated by commas."""
    texts = query.get(name, "").split(",")
    is_read = all(text.isascii() and text.isdecimal() and len(text) < 16 for text in texts)
    if not is_read or n_numbers not in (None, len(texts)):
        raise QueryError(
            f"`{name}` (={query.get(name, '')!r:.80}) must be {n_numbers or 'one or two'} integers"
        )
    return tuple(map(int, texts))
