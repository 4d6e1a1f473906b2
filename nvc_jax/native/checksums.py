"""Checksums of bytes by a kernel; ``core.byte_codecs`` has its specification."""

import ctypes

import numpy as np

from nvc_jax.core import byte_codecs
from nvc_jax.native.host_kernels import call_on_host, has_host_kernels


def crc32c(data: bytes) -> int:
    """CRC-32C of at least one byte."""
    if not has_host_kernels():
        return byte_codecs.crc32c(data)
    array = np.frombuffer(data, np.uint8)
    return int(call_on_host("nvc_crc32c", array.size, array, result=ctypes.c_int64)) & 0xFFFFFFFF
