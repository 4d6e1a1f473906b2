"""Arrays of NumPy that are aligned as those of XLA are: on a CPU JAX uses them without a copy."""

import math
import mmap
from collections.abc import Callable

import numpy as np

_ALIGNMENT = 64
"""Bytes at multiples of which XLA's arrays begin."""
_LEAST_OF_SYSTEM = 1 << 20
"""Bytes from which an array of zeros comes from the system, which clears no page before it is written."""


def zeros_aligned(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Make an array of zeros. Whoever hands it to JAX must not write to it any more."""
    return _align(np.zeros, shape, np.dtype(dtype))


def sparse_zeros(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Make an array of zeros of which little will be written: it takes time and memory only there."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes < _LEAST_OF_SYSTEM:
        return zeros_aligned(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, n_bytes), dtype).reshape(shape)


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
