"""Bodies of payloads on a lattice: values predicted from coarse to fine, within an error or exactly."""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.plan import Plan
from nvc_jax.lattice.values import FixedValues, decode_values, encode_values, fix_values


def fix_chunk(chunk: ChunkValues, max_error: float, padded_shape: Shape3) -> FixedValues | None:
    """Turn a chunk's values to fixed point.

    Args:
        chunk: the values, some of them valid.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
        padded_shape: (z, y, x) of a whole chunk.

    Returns:
        The values; None where the error is too small for their range.
    """
    value_type = chunk.values.dtype.type
    limits = value_type(chunk.low), value_type(chunk.high)  # gaps are filled by values between them
    try:
        return fix_values(chunk.filled(), max_error, padded_shape, chunk.valid, limits)
    except ValueError:
        return None


def encode_lattice(fixed: FixedValues, plan: Plan) -> tuple[bytes, np.ndarray, float] | None:
    """Code values as planned.

    Returns:
        The body, the values that it decodes to, and the largest error of valid ones; None where they would
        miss the bound.
    """
    try:
        return encode_values(fixed, plan)
    except ValueError:
        return None


def decode_lattice(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_lattice``."""
    return decode_values(body, shape, padded_shape, dtype)
