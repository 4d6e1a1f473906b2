import ctypes

import numpy as np
import pytest

from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.native.host_kernels import call_on_host, has_host_kernels, serves


def test_kernels_work_on_arrays_of_the_host() -> None:
    assert has_host_kernels()
    a, b, results = np.arange(11, dtype=np.float32), np.arange(11, dtype=np.float32), np.empty(2)
    b[[3, 10]] += [2.5, -4]
    assert call_on_host("nvc_float_errors", a.size, a, b, 0, *NO_LIMITS, results, result=ctypes.c_int64) == 1
    assert results.tolist() == [4, 2.5**2 + 4**2]
    fixed, values = np.array([0, 5, -3], np.int32), np.empty(3, np.float32)
    call_on_host("nvc_restore_floats", 3, fixed, 10.0, 0.5, values)
    assert values.tolist() == [10, 12.5, 8.5]


def test_kernels_serve_float32() -> None:
    assert serves(np.dtype(np.float32))
    assert not any(serves(np.dtype(name)) for name in ("f2", "f8", "i4", "u1"))


def test_arrays_must_be_contiguous() -> None:
    every_second = np.arange(10, dtype=np.float32)[::2]
    with pytest.raises(ValueError, match="strides of \\(8,\\) bytes"):
        call_on_host("nvc_float_errors", 5, every_second, every_second, 0, *NO_LIMITS, np.empty(2))
