"""Volumes of labels, such as segmentations and masks: recognised, so that they are lossless by default.

A label that is off by one names another thing. Labels take few different values in large plateaus, and
lossless coding makes few bytes of them.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorstore as ts

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.lazy import read_region

_SIDE = 32
"""Side in voxels of the boxes that are looked at, along the last three axes; it is 1 along those before."""
_BOXES = 3
"""Boxes along each axis."""
_LEAST_EQUAL = 0.75
"""Share of neighbours that are equal in volumes of labels, background left out."""
_FEW_VALUES = 16
"""Different values up to which plateaus are labels, however small the steps between them."""
_LEAST_FAR = 0.5
"""Share of neighbours that differ by more than 1 among those that differ: smooth ones take steps of 1."""


def holds_labels(volume: ts.TensorStore) -> bool:
    """Tell whether a volume evidently holds labels, by a sample: of three axes of 27 boxes of 32³ voxels.

    It does if it is of bool; or of an integer dtype, and the sample has two different values, or is made of
    plateaus of values that are few or far apart.

    Args:
        volume: of two to five axes, which may be larger than memory.
    """
    kind = volume.dtype.numpy_dtype.kind
    if kind not in "iu":
        return kind == "b"
    boxes = [read_region(volume, region) for region in _sample_regions(volume.shape)]
    values, counts = np.unique(np.concatenate([box.reshape(-1) for box in boxes]), return_counts=True)
    if len(values) <= 2:
        return len(values) == 2
    background = values[counts.argmax()]
    n_pairs, n_equal, n_far = np.sum([_count_pairs(box, background) for box in boxes], axis=0)
    is_of_plateaus = n_equal >= _LEAST_EQUAL * n_pairs
    is_stepped = len(values) <= _FEW_VALUES or n_far >= _LEAST_FAR * (n_pairs - n_equal)
    return bool(is_of_plateaus and is_stepped)


def _sample_regions(shape: Sequence[int]) -> Iterator[Region]:
    """List boxes that lie evenly in a volume, each once."""
    boxes = [_SIDE if axis >= len(shape) - N_SPATIAL else 1 for axis in range(len(shape))]
    starts = [
        sorted({(side - box) * i // (_BOXES - 1) if side > box else 0 for i in range(_BOXES)})
        for side, box in zip(shape, boxes, strict=True)
    ]
    for corner in itertools.product(*starts):
        sides = zip(corner, boxes, shape, strict=True)
        yield tuple(slice(start, min(start + box, side)) for start, box, side in sides)


def _count_pairs(box: np.ndarray, background: np.generic) -> tuple[int, int, int]:
    """Count neighbours that are not both background, the equal ones, and those that differ by more than 1."""
    n_pairs, n_equal, n_far = 0, 0, 0
    for axis in range(box.ndim):
        lines = np.moveaxis(box, axis, 0)
        first, second = np.maximum(lines[1:], lines[:-1]), np.minimum(lines[1:], lines[:-1])
        is_equal = first == second
        n_pairs += first.size - int(np.count_nonzero(is_equal & (first == background)))
        n_equal += int(np.count_nonzero(is_equal & (first != background)))
        n_far += int(np.count_nonzero(~is_equal & (first - 1 > second)))
    return n_pairs, n_equal, n_far
