"""Errors of float32 arrays by a kernel; ``core.errors`` has its specification."""

import ctypes

import numpy as np

from nvc_jax.core import errors
from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.native.host_kernels import call_on_host, serves


def largest_and_squared_errors(
    original: np.ndarray,
    decoded: np.ndarray,
    mask: np.ndarray | None = None,
    unit: float = 1.0,
    limits: tuple[float, float] = NO_LIMITS,
) -> tuple[float, float]:
    """Return ``errors.largest_error`` and the sum of ``errors.squared_errors``.

    The kernel measures finite float32 arrays, in the unit 1; its sum differs from that of ``errors`` by
    roundings.

    Args:
        original: as of ``errors.largest_error``.
        decoded: likewise.
        mask: likewise.
        unit: see ``errors.error_unit``.
        limits: to which decoded floats are clipped.
    """
    if serves(original.dtype) and original.dtype == decoded.dtype and unit == 1:
        measured = _measure(original, decoded, mask, limits)
        if measured is not None:
            return measured
    largest, (squared, _) = errors.largest_and_squared_errors(original, _clip(decoded, limits), mask, unit)
    return largest, squared


def largest_error(
    original: np.ndarray,
    decoded: np.ndarray,
    mask: np.ndarray | None = None,
    limits: tuple[float, float] = NO_LIMITS,
) -> float:
    """Return ``errors.largest_error``, which the kernel measures of float32 arrays; see above."""
    if original.dtype == decoded.dtype == np.float32:
        return largest_and_squared_errors(original, decoded, mask, limits=limits)[0]
    return errors.largest_error(original, _clip(decoded, limits), mask)


def _clip(decoded: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Clip decoded values, unless there are no limits."""
    return decoded if limits == NO_LIMITS else decoded.clip(*limits)


def _measure(
    original: np.ndarray, decoded: np.ndarray, mask: np.ndarray | None, limits: tuple[float, float]
) -> tuple[float, float] | None:
    """Measure arrays by the kernel; None where a difference is not finite."""
    arrays = [np.ascontiguousarray(array) for array in (original, decoded)]
    counted = 0 if mask is None else np.ascontiguousarray(mask)
    results = np.empty(2)
    name, n = "nvc_float_errors", original.size
    is_finite = call_on_host(name, n, *arrays, counted, *limits, results, result=ctypes.c_int64)
    return (float(results[0]), float(results[1])) if is_finite else None
