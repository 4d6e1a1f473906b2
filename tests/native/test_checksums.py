import zlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core import byte_codecs
from nvc_jax.native.checksums import crc32, crc32c


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(min_size=1, max_size=100))
def test_the_kernel_equals_the_codec(data: bytes) -> None:
    assert crc32c(data) == byte_codecs.crc32c(data)


@given(st.integers(1, 1500), st.integers(0, 2**32 - 1))
def test_the_checksum_of_values_is_that_of_zlib(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, n, np.uint8)
    assert crc32(values) == zlib.crc32(values.data)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float64, ml_dtypes.bfloat16, bool])
def test_the_checksum_of_values_is_that_of_their_bytes_in_c_order(dtype: type) -> None:
    values = (np.arange(5 * 7 * 130) % 251).reshape(5, 7, 130).astype(dtype)
    for part in (values, values.T, values[1:4, ::2, 3:77]):
        assert crc32(part) == zlib.crc32(part.tobytes())
