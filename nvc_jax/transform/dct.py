"""Matrices of the discrete cosine transform (DCT)."""

import numpy as np


def dct_matrix(size: int, half_shift: bool = False) -> np.ndarray:
    """Compute the matrix of an orthonormal DCT, float64 (size, size); rows are basis functions.

    Args:
        size: number of samples.
        half_shift: DCT-IV, whose frequencies are higher by one half, instead of DCT-II.
    """
    frequency = np.arange(size)[:, None] + (0.5 if half_shift else 0.0)
    matrix = np.sqrt(2 / size) * np.cos(np.pi * (np.arange(size) + 0.5) * frequency / size)
    if not half_shift:
        matrix[0] /= np.sqrt(2)
    return matrix
