"""Values of chunks that the tests of several modules code."""

import numpy as np

from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.shapes import Shape3

PADDED_SHAPE = (24, 32, 40)


def smooth_values(shape: Shape3 = PADDED_SHAPE, seed: int = 0) -> np.ndarray:
    """Waves with weak noise: float64 from 0 to 1."""
    z, y, x = np.indices(shape)
    wave = np.sin(z / 6 + seed) * np.cos(y / 9) + np.sin(x / 7 + y / 15)
    noisy = wave + np.random.default_rng(seed).normal(0, 0.01, shape)
    return (noisy - noisy.min()) / max(float(np.ptp(noisy)), 1e-9)


def in_dtype(unit: np.ndarray, dtype: str) -> np.ndarray:
    """Map [0, 1] to a dtype: to all of an integer's range, to −100 to 200 in floats.

    Of int64 and uint64 it is the end of the range: 2**48 values, which float64 does not tell apart.
    """
    kind = np.dtype(dtype)
    if is_float(kind):
        return (300 * unit - 100).astype(dtype)
    limits = np.iinfo(kind)
    if is_long_integer(kind):
        return kind.type(limits.max) - ((1 - unit) * 2.0**48).astype(kind)
    return round_to_dtype(limits.min + unit * (float(limits.max) - limits.min), kind)


def exact_errors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Absolute differences, float64; of int64 and uint64 in Python's integers."""
    if is_long_integer(first.dtype):
        return np.abs(first.astype(object) - second.astype(object))
    return np.abs(first.astype(np.float64) - second.astype(np.float64))


def ocean() -> np.ndarray:
    """A field over an ocean, half of which is missing: float32, −1e10 over land."""
    z, y, x = np.indices((12, 20, 30))
    return np.where(x > 14, np.sin(y / 5) + z, -1e10).astype(np.float32)
