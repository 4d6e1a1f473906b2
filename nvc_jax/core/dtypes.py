"""Dtypes of volumes, and those that the device works with."""

import contextlib
import functools
import math
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

DTYPES = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "bfloat16", "float32", "float64", "bool"),
)
"""Dtypes of volumes that can be compressed."""
CODED_DTYPES = DTYPES[:-1]
"""Dtypes of the values of chunks as they are coded; bool is coded as uint8."""
_CONVERSIONS = {
    "float128": "convert it by `astype('float64')`",
    "float": "convert it by `astype('float32')`",
    "complex": "take its real and its imaginary part as two volumes",
    **dict.fromkeys(("int", "uint"), "convert it by `astype('int8')`"),
    "[": "take one of its fields as a volume",
}
"""Next step for a volume of another dtype, by the beginning of its name."""
_HALF_OF_BFLOAT16 = 1 << 15
"""Lower bits of a float32 that lies in the middle between two values of bfloat16."""
DEVICE_DTYPES = ("uint8", "int8", "uint16", "int16", "float16", "float32")
"""Dtypes of volumes that ``encode_volume`` takes: the device computes in float32."""
NARROW_DTYPES = (*DEVICE_DTYPES, "bfloat16")
"""Dtypes whose values float32 holds exactly."""
_BFLOAT16 = np.dtype(jnp.bfloat16)


def check_dtype(dtype: np.dtype | jnp.dtype | str, name: str = "volume") -> None:
    """Raise ``TypeError`` that names the argument unless ``DTYPES`` has ``dtype``, in native byte order."""
    if str(dtype) not in DTYPES:
        steps = [step for begin, step in _CONVERSIONS.items() if str(dtype).startswith(begin)]
        step = steps[0] if steps else "convert it to one of these"
        raise TypeError(f"`{name}` has dtype {dtype}; supported dtypes are {', '.join(DTYPES)}: {step}")


_END_OF_INTEGERS = 1 << 64
"""Limit of the magnitudes of integers that a volume may hold."""


def is_float(dtype: np.dtype) -> bool:
    """Tell whether a dtype is of floats; NumPy has no kind for bfloat16."""
    return dtype.kind == "f" or dtype == _BFLOAT16


@functools.cache
def is_narrow(dtype: np.dtype) -> bool:
    """Tell whether float32 holds all values of a dtype exactly."""
    return dtype.name in NARROW_DTYPES


def is_scalar(value: Any) -> bool:
    """Tell whether a value is a number of NumPy, JAX or another library, or an array of one number."""
    dtype = np.asarray(value).dtype if np.ndim(value) == 0 else np.dtype(object)
    return dtype.kind in "iu" or is_float(dtype)


def ignoring_nan(dtype: np.dtype) -> contextlib.AbstractContextManager:
    """Silence the warnings with which bfloat16, unlike other dtypes, compares NaN."""
    return np.errstate(invalid="ignore") if dtype == _BFLOAT16 else contextlib.nullcontext()


def float_limits(dtype: np.dtype) -> tuple[float, float, float]:
    """Smallest and largest finite value of a float dtype, and its smallest normal number above 0."""
    limits = jnp.finfo(dtype)
    return float(limits.min), float(limits.max), float(limits.tiny)


def round_floats(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round floats to a float dtype, halves to even; values beyond its ends become the ends."""
    low, high, _ = float_limits(dtype)
    with np.errstate(invalid="ignore"):  # of NaN, which becomes anything
        return _round_within(np.clip(values, low, high), dtype)


def _round_within(clipped: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round floats between the ends of a float dtype."""
    if dtype != _BFLOAT16 or clipped.dtype != np.float64:
        return clipped.astype(dtype, copy=False)
    # NumPy would round to float32 first: what lies next to a middle would become the middle.
    nearest = clipped.astype(np.float32)
    bits = nearest.view(np.int32)
    is_middle = (bits & (2 * _HALF_OF_BFLOAT16 - 1)) == _HALF_OF_BFLOAT16
    away = np.sign(np.abs(clipped) - np.abs(nearest.astype(np.float64))).astype(np.int32)
    return np.where(is_middle, bits + away, bits).astype(np.int32).view(np.float32).astype(dtype)


def is_long_integer(dtype: np.dtype) -> bool:
    """Tell whether a dtype is int64 or uint64, not all values of which float64 holds."""
    return dtype.kind in "iu" and dtype.itemsize == 8


def integer_limits(dtype: np.dtype) -> tuple[int, int]:
    """Smallest and largest value of an integer dtype, or of bool."""
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def as_number(value: Any) -> float:
    """Turn a number into an int if it is an integer of 64 bits or fewer, else into a float."""
    if isinstance(value, int | np.integer) and abs(int(value)) < _END_OF_INTEGERS:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number_of(value: np.generic) -> float:
    """Turn a value of a volume into a number: an int if it is of int64 or uint64, else a float."""
    return int(value) if is_long_integer(value.dtype) else float(value)


def cast_values(values: Iterable[float], dtype: np.dtype) -> tuple[float, ...]:
    """Cast numbers to the values of a dtype, as data were when they were stored.

    Returns:
        The finite values, each once: floats are rounded to the dtype; numbers that an integer dtype does not
        hold are left out. Those of int64 and uint64 are ints, all others floats.
    """
    if is_float(dtype):
        with np.errstate(over="ignore"):
            cast = [float(np.float64(value).astype(dtype)) for value in values]
    else:
        low, high = integer_limits(dtype)
        number_type = int if is_long_integer(dtype) else float
        cast = [number_type(v) for v in values if low <= v <= high and v == int(v)]
    return tuple(dict.fromkeys(value for value in cast if math.isfinite(value)))


def check_device_dtype(dtype: np.dtype | jnp.dtype | str, name: str = "volume") -> None:
    """Raise ``TypeError`` that names the argument unless ``dtype`` is in ``DEVICE_DTYPES``."""
    if str(dtype) not in DEVICE_DTYPES:
        raise TypeError(
            f"`{name}` has dtype {dtype}; on the device supported dtypes are {', '.join(DEVICE_DTYPES)}; "
            "`compress` takes the others: use it, or convert the volume to float32"
        )
