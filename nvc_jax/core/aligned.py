"""Arrays of the host that JAX takes over on CPUs without a copy: XLA's buffers begin at multiples of 64 bytes."""

import math

import numpy as np

_ALIGNMENT = 64
"""Bytes at whose multiples XLA's buffers of CPUs begin."""


def aligned_zeros(shape: int | tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Make an array of zeros that begins at a multiple of 64 bytes.

    ``jax.device_put`` then shares its memory on CPUs, so it must not be changed afterwards. The system provides
    memory page by page, when it is first written: what stays zero takes none.
    """
    n_bytes = math.prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + n_bytes].view(dtype).reshape(shape)
