"""Trial of the coarse levels of a volume: an eighth of its points is quantised, to learn its real cost.

The samples of ``estimate`` are single points whose neighbours are nearly exact. At few bits a value, decoded
neighbours are far off, and tables adapt to many contexts. Only a trial tells how much that matters.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.lattice.plan import FixedVolume
from nvc_jax.lattice.programs import max_items
from nvc_jax.lattice.stream import quantization_of, quantize_volume
from nvc_jax.lattice.tables import N_CLASSES, N_CONTEXTS, estimate_bits
from nvc_jax.lattice.values import FixedValues
from nvc_jax.native.host_kernels import call_on_host, has_host_kernels

_EVEN = (slice(None, None, 2),) * 3


class Trial(NamedTuple):
    """Coarse levels of a volume on a lattice.

    Attributes:
        bits: that they take, about.
        squared_error: sum over the values that count, in squared steps of the codes.
        n_points: number of these values.
    """

    bits: float
    squared_error: float
    n_points: int


def try_coarse_levels(
    fixed: FixedValues,
    weights: Sequence[np.ndarray | None],
    padded_shape: Shape3,
    *,
    by_kernel: bool | None = None,
) -> Trial:
    """Quantise the coarse levels of a volume.

    Args:
        fixed: the volume.
        weights: of its plan.
        padded_shape: (z, y, x), no smaller than the volume's.
        by_kernel: whether to use the kernel; by default where there is one.
    """
    # Half the resolution, with the levels of the volume but the finest.
    volume = fixed.cut(_EVEN, check_shape(tuple(-(-side // 2) for side in padded_shape)))
    uses_kernel = has_host_kernels() if by_kernel is None else by_kernel
    count = _count_by_kernel if uses_kernel else _count
    histogram, squared_error = count(volume, [weights[1], weights[2], weights[2]])
    n_points = int(np.count_nonzero(np.asarray(volume.lattice.counted)))
    bits = estimate_bits(histogram.astype(np.int64))
    return Trial(bits, squared_error / 4.0**volume.fraction_bits, n_points)


def _count(volume: FixedVolume, weights: Sequence[np.ndarray | None]) -> tuple[np.ndarray, int]:
    """Quantise a volume.

    Returns:
        Histogram of ``Items``, and the sum of squared errors of values that count, in fixed point.
    """
    decoded, items, _ = quantize_volume(volume, weights)
    inside = tuple(slice(0, side) for side in volume.shape)
    values, counted = (np.asarray(of)[inside] for of in volume.lattice[:2])
    errors = np.where(counted, decoded - values, 0).astype(np.int64)
    return items.histogram, int(np.square(errors).sum())


def _count_by_kernel(volume: FixedVolume, weights: Sequence[np.ndarray | None]) -> tuple[np.ndarray, int]:
    """Do so without the items, and without a compiled program."""
    (fixed, counted, anchors, stacked, _), _ = quantization_of(volume, weights)
    lattice = check_shape(fixed.shape)
    rules = np.array([volume.fraction_bits, volume.lattice.low, volume.lattice.high, *volume.shape], np.int64)
    histogram = np.empty((N_CONTEXTS, N_CLASSES + 1), np.int32)
    arrays = (np.asarray(fixed), np.asarray(counted), np.array(lattice, np.int64), anchors, stacked, rules)
    squared_error = call_on_host(
        "nvc_lattice_count", *arrays, max_items(lattice), histogram, result=ctypes.c_int64
    )
    return histogram, squared_error
