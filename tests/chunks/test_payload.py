import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.core.dtypes import DTYPES

SIDES = st.integers(1, 2**32 - 1)
PAYLOADS = st.builds(
    Payload,
    kind=st.sampled_from(PayloadKind),
    valid_shape=st.tuples(SIDES, SIDES, SIDES),
    dtype=st.sampled_from(DTYPES).map(np.dtype),
    max_error=st.floats(0),
    body=st.binary(max_size=50),
    special_values=st.binary(max_size=50),
    correction=st.binary(max_size=50),
)


@given(PAYLOADS)
def test_every_part_comes_back(payload: Payload) -> None:
    stored = payload.to_bytes()
    assert parse_payload(stored) == payload
    n_bytes = sum(map(len, (payload.body, payload.special_values, payload.correction)))
    assert len(stored) == 40 + n_bytes
    assert payload.coded_bytes == n_bytes - len(payload.special_values)


STORED = Payload(PayloadKind.PACKED, (1, 2, 3), np.dtype("int16"), 0.0, b"body").to_bytes()


def test_the_kinds_have_the_numbers_of_the_format() -> None:
    names = ["packed", "constant", "differences", "uniform", "spectral", "latents", "levels"]
    assert [kind.name.lower() for kind in PayloadKind] == names
    assert [kind.value for kind in PayloadKind] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", "lacks its header of 40"),
        (STORED[:39], "lacks its header of 40"),
        (b"zip" + STORED[3:], "begins with"),
        (STORED[:4] + b"\x09" + STORED[5:], "kind 9"),
        (STORED[:5] + b"\x09" + STORED[6:], "dtype 9"),
        (STORED[:-1], "43 bytes; its header states 44"),
        (STORED + b"\0", "45 bytes; its header states 44"),
    ],
)
def test_other_bytes_are_refused(stored: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_payload(stored)
