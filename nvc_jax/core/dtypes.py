"""Dtypes of volumes, and those that the device works with."""

import math
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np

DTYPES = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32"),
    *("float16", "float32", "float64"),
)
"""Dtypes of volumes that can be compressed."""
_CONVERSIONS = {
    "int64": "convert it by `astype('int32')` if its values fit, else by `astype('float64')`",
    "uint64": "convert it by `astype('uint32')` if its values fit, else by `astype('float64')`",
    "bool": "convert it by `astype('uint8')`",
    "bfloat16": "convert it by `astype('float32')`",
    "float128": "convert it by `astype('float64')`",
    **dict.fromkeys(("complex64", "complex128"), "take its real and its imaginary part as two volumes"),
}
"""Next step for a volume of another dtype."""
DEVICE_DTYPES = ("uint8", "int8", "uint16", "int16", "float16", "float32")
"""Dtypes whose values float32 holds exactly: the device computes in float32."""


def check_dtype(dtype: np.dtype | jnp.dtype | str, name: str = "volume") -> None:
    """Raise ``TypeError`` that names the argument unless ``DTYPES`` has ``dtype``, in native byte order."""
    if str(dtype) not in DTYPES:
        step = _CONVERSIONS.get(str(dtype), "convert it to one of these")
        raise TypeError(f"`{name}` has dtype {dtype}; supported dtypes are {', '.join(DTYPES)}: {step}")


def cast_values(values: Iterable[float], dtype: np.dtype) -> tuple[float, ...]:
    """Cast numbers to the values of a dtype, as data were when they were stored.

    Returns:
        The finite values, each once: floats are rounded to the dtype; numbers that an integer dtype does not
        hold are left out.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = [float(np.float64(value).astype(dtype)) for value in values]
    else:
        limits = np.iinfo(dtype)
        cast = [v for v in map(float, values) if limits.min <= v <= limits.max and v.is_integer()]
    return tuple(dict.fromkeys(value for value in cast if math.isfinite(value)))


def check_device_dtype(dtype: np.dtype | jnp.dtype | str, name: str = "volume") -> None:
    """Raise ``TypeError`` that names the argument unless ``dtype`` is in ``DEVICE_DTYPES``."""
    if str(dtype) not in DEVICE_DTYPES:
        raise TypeError(
            f"`{name}` has dtype {dtype}; on the device supported dtypes are {', '.join(DEVICE_DTYPES)}; "
            "`compress` takes the others: use it, or convert the volume to float32"
        )
