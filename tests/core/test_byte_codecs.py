import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.byte_codecs import crc32c, decode_bytes, encode_bytes

METHODS = ("zstd", "blosc", "crc32c")


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(METHODS), st.sampled_from([1, 2, 4, 8]))
def test_bytes_come_back(data: bytes, method: str, item_bytes: int) -> None:
    assert decode_bytes(encode_bytes(data, method, item_bytes), method, len(data)) == data


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert encode_bytes(b"123456789", "crc32c") == b"123456789" + (0xE3069283).to_bytes(4, "little")


def test_repetitions_take_few_bytes() -> None:
    data = np.arange(5000, dtype="<f4").tobytes()
    assert len(encode_bytes(data, "blosc", 4)) < len(data) / 5
    assert len(encode_bytes(bytes(5000), "zstd")) < 100


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "long", "short"])
def test_damage_is_an_error_or_other_bytes(method: str, damage: str) -> None:
    data = np.random.default_rng(0).bytes(4000)
    encoded = encode_bytes(data, method)
    n_bytes = {"long": 4001, "short": 3999}.get(damage, 4000)
    damaged = {"cut": encoded[:-3], "flip": encoded[:50] + b"\0\1" + encoded[52:], "empty": b""}
    try:
        decoded = decode_bytes(damaged.get(damage, encoded), method, n_bytes)
    except ValueError:
        return
    assert damage == "flip"
    assert method != "crc32c"
    assert len(decoded) == n_bytes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_bytes", [1 << 31, 1 << 44, 1 << 62])
def test_sizes_beyond_what_bytes_can_hold_take_no_memory(method: str, n_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"cannot hold {n_bytes} bytes"):
        decode_bytes(encode_bytes(bytes(1000), method), method, n_bytes)


@pytest.mark.parametrize(("place", "number"), [(4, 4097), (4, 0x7F001000), (12, 100), (12, 1 << 31)])
def test_blosc_takes_no_memory_for_sizes_that_its_header_states(place: int, number: int) -> None:
    encoded = bytearray(encode_bytes(bytes(4096), "blosc"))
    encoded[place : place + 4] = number.to_bytes(4, "little")
    with pytest.raises(ValueError, match="do not hold 4096 bytes in blosc: the header"):
        decode_bytes(bytes(encoded), "blosc", 4096)


def test_the_densest_bytes_are_within_the_limit() -> None:
    data = bytes(1 << 24)
    assert decode_bytes(encode_bytes(data, "zstd"), "zstd", len(data)) == data
