"""Native kernels of sparse integers on NumPy's arrays; ``sparse_integers`` has their specification."""

import ctypes
import math

import numpy as np

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.native.host_kernels import call_on_host


def find_differing(first: np.ndarray, second: np.ndarray, allowed: float) -> np.ndarray:
    """Find the voxels of float32 volumes that differ by more than ``allowed``, or are NaN.

    Returns:
        int64 (n,), their positions in C order, in the order of their ranks.
    """
    volumes = [np.ascontiguousarray(volume) for volume in (first, second)]
    positions = np.empty(first.size + 1, np.int64)  # the kernel writes one that it does not count
    arguments = (*volumes, *check_shape(first.shape), float(allowed), positions)
    return positions[: call_on_host("nvc_find_differing", *arguments, result=ctypes.c_int64)].copy()


def positions_of_gaps(gaps: np.ndarray, shape: Shape3) -> np.ndarray | None:
    """Turn gaps between ranks, int64 (n,), to positions in C order; None where one is outside."""
    positions = np.empty(len(gaps), np.int64)
    arguments = (np.ascontiguousarray(gaps), len(gaps), *shape, positions)
    is_inside = math.prod(shape) and call_on_host("nvc_positions_of_gaps", *arguments, result=ctypes.c_int64)
    return positions if is_inside else None
