"""Arrays that begin where those of XLA do: JAX takes them on a CPU as they are, and copies others."""

import math
from collections.abc import Callable

import numpy as np

_ALIGNMENT = 64
"""Bytes at multiples of which XLA's arrays begin."""


def zeros_aligned(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Make an array of zeros. It takes memory only where it is written.

    Whoever hands it to JAX must not write to it any more.
    """
    return _align(np.zeros, shape, np.dtype(dtype))


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Make an array whose values are not set; see ``zeros_aligned``."""
    return _align(np.empty, shape, np.dtype(dtype))


def _align(make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    n_bytes = math.prod(shape) * dtype.itemsize
    buffer = make(n_bytes + _ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + n_bytes].view(dtype).reshape(shape)


def is_aligned(array: np.ndarray) -> bool:
    """Tell whether an array is contiguous and begins where those of XLA do."""
    return array.flags.c_contiguous and array.ctypes.data % _ALIGNMENT == 0
