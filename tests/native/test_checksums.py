from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core import byte_codecs
from nvc_jax.native.checksums import crc32c


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(min_size=1, max_size=100))
def test_the_kernel_equals_the_codec(data: bytes) -> None:
    assert crc32c(data) == byte_codecs.crc32c(data)
