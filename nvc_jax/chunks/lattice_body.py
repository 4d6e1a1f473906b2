"""Bodies of payloads on a lattice: values predicted from coarse to fine, within an error or exactly."""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.filling import fill_smoothly
from nvc_jax.chunks.uniform_quantization import choose_spacing
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.estimate import Estimate, estimate_coding
from nvc_jax.lattice.values import decode_values, encode_values


def estimate_lattice(chunk: ChunkValues, max_error: float) -> Estimate | None:
    """Estimate the bits and errors of a lattice's body from a sample of the chunk; None where there is none.

    Args:
        chunk: the values.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
    """
    values = chunk.values
    spacing = choose_spacing(values.dtype, chunk.low, chunk.high, max_error)
    if spacing is None:
        return None
    is_exact = values.dtype.kind != "f" and spacing == 1
    return estimate_coding(values, chunk.valid, chunk.low, spacing, is_exact=is_exact)


def encode_lattice(
    chunk: ChunkValues, max_error: float, padded_shape: Shape3
) -> tuple[bytes, np.ndarray] | None:
    """Code values on a lattice.

    Args:
        chunk: the values.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
        padded_shape: (z, y, x) of a whole chunk.

    Returns:
        The body, and the values that it decodes to; None where the error is too small for the range of the
        values.
    """
    try:
        return encode_values(fill_gaps(chunk), max_error, padded_shape, chunk.valid)
    except ValueError:
        return None


def fill_gaps(chunk: ChunkValues) -> np.ndarray:
    """Fill gaps smoothly, within the range of the values."""
    if chunk.valid.all():
        return chunk.values
    dtype = chunk.values.dtype
    smooth = fill_smoothly(chunk.values.astype(np.float64), chunk.valid).clip(chunk.low, chunk.high)
    rounded = smooth if dtype.kind == "f" else np.rint(smooth)
    return np.where(chunk.valid, chunk.values, rounded.astype(dtype))


def decode_lattice(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_lattice``."""
    return decode_values(body, shape, padded_shape, dtype)
