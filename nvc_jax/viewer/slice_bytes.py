"""Slices as bytes: a header in JSON, then the values.

The first four bytes are the length of the header in bytes, uint32. The header is padded by spaces so that the
values, row by row, begin at a multiple of four bytes. All is little-endian.
"""

import json
import struct

import numpy as np

from nvc_jax.viewer.slices import Slice, summarize


def to_bytes(shown: Slice) -> bytes:
    """Make the bytes of a slice, with the percentiles of its values."""
    header = {
        "shape": list(shown.values.shape),
        "dtype": shown.values.dtype.name,
        "origin": list(shown.origin),
        "pixel": list(shown.pixel),
        "exact": shown.is_exact,
        **summarize(shown.values),
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    values = np.ascontiguousarray(shown.values, shown.values.dtype.newbyteorder("<"))
    return struct.pack("<I", len(text)) + text + values.tobytes()
