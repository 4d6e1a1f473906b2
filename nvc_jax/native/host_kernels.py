"""Kernels that work on NumPy's arrays, outside of compiled programs."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from nvc_jax.native.library import find_library, load_kernels


def host_kernel(name: str, result: type | None = None) -> Callable[..., Any] | None:
    """Find a kernel that works on NumPy's arrays.

    Args:
        name: of the kernel.
        result: type of ``ctypes`` that it returns; None for none.

    Returns:
        A function of contiguous arrays, integers and floats, which are int64 and double for the kernel. None
        if this installation has no kernels.
    """
    if load_kernels() is not None:
        return None
    function = getattr(ctypes.CDLL(str(find_library())), name)
    function.restype = result

    def call(*arguments: Any) -> Any:
        return function(*map(_to_c, arguments))

    return call


def _to_c(argument: Any) -> Any:
    """Turn an argument to what a kernel takes."""
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError(f"a kernel takes contiguous arrays, not one with strides of {argument.strides} bytes")
        return ctypes.c_void_p(argument.ctypes.data)
    return ctypes.c_double(argument) if isinstance(argument, float) else ctypes.c_int64(argument)
