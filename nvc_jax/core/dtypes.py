"""Dtypes of volumes, and those that the device works with."""

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


def check_device_dtype(dtype: np.dtype | jnp.dtype | str, name: str = "volume") -> None:
    """Raise ``TypeError`` that names the argument unless ``dtype`` is in ``DEVICE_DTYPES``."""
    if str(dtype) not in DEVICE_DTYPES:
        raise TypeError(
            f"`{name}` has dtype {dtype}; on the device supported dtypes are {', '.join(DEVICE_DTYPES)}; "
            "`compress` takes the others: use it, or convert the volume to float32"
        )
