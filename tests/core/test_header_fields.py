import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.dtypes import CODED_DTYPES, float_limits, integer_limits, is_float
from nvc_jax.core.header_fields import (
    decode_quantization,
    decode_values,
    decode_varints,
    encode_quantization,
    encode_values,
    encode_varints,
    fold,
    unfold,
)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_numbers_come_back_in_few_bytes(numbers: list[int]) -> None:
    stored = encode_varints(*numbers)
    assert decode_varints(b"ab" + stored + b"c", len(numbers), 2) == (numbers, 2 + len(stored))
    assert len(stored) == sum(max(1, -(-number.bit_length() // 7)) for number in numbers)


def test_numbers_are_leb128() -> None:
    assert encode_varints(0, 127, 128, 624485) == bytes([0, 127, 0x80, 1, 0xE5, 0x8E, 0x26])


@pytest.mark.parametrize("number", [-1, 2**32])
def test_numbers_beyond_32_bits_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        encode_varints(number)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", "cut short"),
        (b"\x80", "cut short"),
        (b"\x80\0", "too many bytes"),  # 0 in two bytes
        (b"\xff\xff\xff\xff\x10", "too many bytes"),  # 33 bits
        (b"\x80\x80\x80\x80\x80\1", "too many bytes"),
    ],
)
def test_wrong_numbers_are_refused(stored: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_varints(stored, 1)


def test_integers_are_folded_by_magnitude() -> None:
    assert [fold(number) for number in (0, -1, 1, -2, 2)] == [0, 1, 2, 3, 4]
    assert [unfold(folded) for folded in range(5)] == [0, -1, 1, -2, 2]


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_values_of_every_dtype_come_back(dtype: str) -> None:
    kind = np.dtype(dtype)
    low, high = float_limits(kind)[:2] if is_float(kind) else integer_limits(kind)
    stored = encode_values(kind, low, high)
    assert len(stored) == 2 * kind.itemsize
    assert decode_values(stored + b"more", kind, 2) == [low, high]
    with pytest.raises(ValueError, match="cut short"):
        decode_values(stored[:-1], kind, 2)


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_quantizations_come_back(dtype: str) -> None:
    kind = np.dtype(dtype)
    stored = encode_quantization(kind, 7, 301)
    assert decode_quantization(stored + b"more", kind) == (7, 301, len(stored))
    assert len(stored) == kind.itemsize + (8 if is_float(kind) or kind.itemsize == 8 else 2)
    with pytest.raises(ValueError, match="cut short"):
        decode_quantization(stored[:-1], kind)


@pytest.mark.parametrize(("low", "spacing"), [(np.nan, 1), (np.inf, 1), (0, 0), (0, -1), (0, np.nan)])
def test_impossible_quantizations_are_refused(low: float, spacing: float) -> None:
    kind = np.dtype("float32")
    with pytest.raises(ValueError, match="a uniform quantisation begins at"):
        decode_quantization(encode_quantization(kind, low, spacing), kind)
