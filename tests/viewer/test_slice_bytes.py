import json
import struct

import numpy as np
import pytest

from nvc_jax.viewer.slice_bytes import to_bytes
from nvc_jax.viewer.slices import Slice


@pytest.mark.parametrize("values", [np.eye(3, 5, dtype=np.float32), np.eye(3, 5, dtype=np.uint8)])
def test_bytes_are_a_header_and_the_values(values: np.ndarray) -> None:
    content = to_bytes(Slice(values, (8, 16), (2, 3), True))
    (length,) = struct.unpack("<I", content[:4])
    assert length % 4 == 0
    header = json.loads(content[4 : 4 + length])
    assert header["shape"] == [3, 5]
    assert (header["origin"], header["pixel"], header["exact"]) == ([8, 16], [2, 3], True)
    assert (header["minimum"], header["maximum"]) == (0, 1)
    stored = np.frombuffer(content[4 + length :], np.dtype(header["dtype"]).newbyteorder("<"))
    np.testing.assert_array_equal(stored.reshape(3, 5), values)


def test_percentiles_leave_out_missing_values() -> None:
    content = to_bytes(Slice(np.float32([[np.nan, 2.0]]), (0, 0), (1, 1), True))
    assert b'"low": 2.0, "high": 2.0' in content
