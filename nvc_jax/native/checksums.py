"""Checksums of bytes by kernels; ``core.byte_codecs`` and ``zlib`` have their specifications."""

import ctypes
import zlib

import numpy as np

from nvc_jax.core import byte_codecs
from nvc_jax.native.host_kernels import call_on_host, has_host_kernels


def crc32c(data: bytes) -> int:
    """CRC-32C of at least one byte."""
    if not has_host_kernels():
        return byte_codecs.crc32c(data)
    array = np.frombuffer(data, np.uint8)
    return int(call_on_host("nvc_crc32c", array.size, array, result=ctypes.c_int64)) & 0xFFFFFFFF


def crc32(values: np.ndarray) -> int:
    """CRC-32 of the bytes of at least one value, in C order."""
    values = np.ascontiguousarray(values)
    if not has_host_kernels():
        # Python has no buffers of bfloat16.
        return zlib.crc32(values.reshape(-1).view(np.uint8).data)
    return int(call_on_host("nvc_crc32", values.nbytes, values, result=ctypes.c_int64)) & 0xFFFFFFFF
