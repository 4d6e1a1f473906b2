import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload

PADDED = (300, 2**20, 2**32 - 1)
PAYLOADS = st.builds(
    Payload,
    kind=st.sampled_from(PayloadKind),
    valid_shape=st.just(PADDED) | st.tuples(*(st.integers(1, side) for side in PADDED)),
    max_error=st.just(0.0) | st.floats(0, allow_infinity=False),
    body=st.binary(max_size=50),
    special_values=st.binary(max_size=50),
    correction=st.binary(max_size=50),
)


@given(PAYLOADS)
def test_every_part_comes_back(payload: Payload) -> None:
    stored = payload.to_bytes(PADDED)
    assert parse_payload(stored, PADDED) == payload
    n_bytes = sum(map(len, (payload.body, payload.special_values, payload.correction)))
    assert payload.coded_bytes == n_bytes - len(payload.special_values)
    assert n_bytes < len(stored) <= n_bytes + 23


def make(**fields: Any) -> bytes:
    """Bytes of a payload in chunks of 2 × 3 × 4 voxels."""
    parts = {"kind": PayloadKind.LATTICE, "valid_shape": (2, 3, 4), "max_error": 0.0, "body": b"body"}
    return Payload(**parts | fields).to_bytes((2, 3, 4))


def test_only_what_differs_from_the_common_case_is_stated() -> None:
    assert make() == b"\x07body"
    assert make(valid_shape=(1, 3, 2)) == b"\x17\1\3\2body"
    assert make(max_error=0.5) == b"\x27" + struct.pack("<d", 0.5) + b"body"
    assert make(special_values=b"sv") == b"\x47\2svbody"
    assert make(correction=b"c" * 200) == b"\x87\xc8\1" + b"c" * 200 + b"body"
    assert make(special_values=b"sv", correction=b"cor") == b"\xc7\2\3svcorbody"


def test_the_kinds_have_the_numbers_of_the_format() -> None:
    names = "packed constant differences uniform spectral latents levels lattice ranks logarithms".split()
    assert [kind.name.lower() for kind in PayloadKind] == [*names, "steps", "predicted"]
    assert [kind.value for kind in PayloadKind] == list(range(12))


def with_error(max_error: float) -> bytes:
    return b"\x20" + struct.pack("<d", max_error) + b"body"


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", "of 0 bytes lacks its header"),
        (b"\x0cbody", "states kind 12, which does not exist"),
        (b"\x10\1\2", "cut short"),
        (b"\x10\1\x82\0\2body", "takes too many bytes"),
        (b"\x10\2\3\4body", r"states \(2, 3, 4\) voxels; a whole chunk has \(2, 3, 4\)"),
        (b"\x10\2\4\4body", r"states \(2, 4, 4\) voxels"),
        (b"\x10\2\0\4body", r"states \(2, 0, 4\) voxels"),
        (with_error(1.0)[:8], "of 8 bytes is cut short"),
        (with_error(0.0), "largest error 0.0"),
        (with_error(-1.0), "largest error -1.0"),
        (with_error(float("nan")), "largest error nan"),
        (with_error(float("inf")), "largest error inf"),
        (b"\x40\0body", "of 6 bytes states a section of 0"),
        (b"\x40\5body", "of 6 bytes states a section of 5"),
        (b"\x80\5body", "of 6 bytes states a section of 5"),
        (b"\xc0\2\3body", "of 7 bytes states a section of 3"),
    ],
)
def test_other_bytes_are_refused(stored: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_payload(stored, (2, 3, 4))
