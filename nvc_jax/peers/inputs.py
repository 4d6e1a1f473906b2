"""Volumes as lossy codecs of other libraries take them: floats, all of them finite."""

import numpy as np

_LONGEST_EXACT = 2
"""Bytes of the longest integers that float32 holds exactly."""


def as_floats(values: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Convert a volume to floats, and put the mean of the valid values in the place of all others.

    Args:
        values: any real dtype and shape.
        valid: bool of the same shape, true for finite values that are measurements; None if all are.

    Returns:
        float32 of floats of up to 32 bits, integers of up to 16, and bool; float64 of others.
    """
    is_short = values.dtype.kind in "iub" and values.dtype.itemsize <= _LONGEST_EXACT
    is_single = is_short or (values.dtype.kind not in "iub" and values.dtype.itemsize <= 4)
    floats = np.ascontiguousarray(values, dtype=np.float32 if is_single else np.float64)
    if valid is None or valid.all():
        return floats
    mean = floats[valid].mean(dtype=np.float64) if valid.any() else 0.0
    return np.where(valid, floats, np.asarray(mean, floats.dtype))
