"""Kernels that work on NumPy's arrays, outside of compiled programs."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nvc_jax.native.library import find_library, load_kernels


def has_host_kernels() -> bool:
    """Tell whether this installation has kernels; they run on the host, whatever JAX's default device is."""
    return load_kernels() is None


def serves(dtype: np.dtype) -> bool:
    """Tell whether there are kernels for values of a dtype: those on values take float32."""
    return dtype == np.float32 and has_host_kernels()


def call_on_host(name: str, *arguments: Any, result: type | None = None) -> Any:
    """Call a kernel, without holding Python's lock.

    Args:
        name: of the kernel, of an installation that has kernels.
        *arguments: contiguous arrays of the dtypes that the kernel takes; integers and floats, which are
            int64 and double for it.
        result: type of ``ctypes`` that it returns; None if it returns nothing.
    """
    return _function(name, result)(*map(_to_c, arguments))


@functools.cache
def _function(name: str, result: type | None) -> Callable[..., Any]:
    """Find a kernel in the library."""
    function = getattr(ctypes.CDLL(str(find_library())), name)
    function.restype = result
    return function


def _to_c(argument: Any) -> Any:
    """Turn an argument to what a kernel takes."""
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError(f"an array with strides of {argument.strides} bytes is not contiguous")
        return ctypes.c_void_p(argument.ctypes.data)
    return ctypes.c_double(argument) if isinstance(argument, float) else ctypes.c_int64(argument)
