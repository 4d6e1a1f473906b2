import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.chunks.value_bytes import pack_values, to_little_endian, unpack_values
from nvc_jax.core.dtypes import DTYPES


@given(st.data(), st.sampled_from(DTYPES), hnp.array_shapes(min_dims=3, max_dims=4, max_side=6))
def test_every_bit_pattern_comes_back(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> None:
    size = np.dtype(dtype).itemsize
    bits = data.draw(hnp.arrays(f"u{size}", shape, elements=st.integers(0, 2 ** (8 * size) - 1)))
    values = bits.view(dtype)
    packed = pack_values(values)
    assert len(packed) <= 1 + values.nbytes
    unpacked = unpack_values(packed, shape, np.dtype(dtype))
    assert unpacked.dtype == dtype
    np.testing.assert_array_equal(bit_patterns(unpacked), bits)


def test_regular_values_take_fewer_bytes() -> None:
    values = np.arange(4096, dtype=np.int32).reshape(16, 16, 16)
    assert len(pack_values(values)) < values.nbytes / 4


def test_bytes_are_little_endian() -> None:
    assert to_little_endian(np.array([1, 256], ">u2")).tobytes() == b"\1\0\0\1"


@pytest.mark.parametrize("packed", [b"", b"\x03abcd", b"\0abc", b"\0abcde", b"\x01abcd", b"\x02abcd"])
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"packed values|bytes do not hold"):
        unpack_values(packed, (1, 1, 2), np.dtype("int16"))
