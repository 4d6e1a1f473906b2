"""Bodies of payloads on a lattice: values predicted from coarse to fine, within an error or exactly."""

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.values import ValuePlan, decode_values, encode_plan, plan_values


def plan_lattice(chunk: ChunkValues, max_error: float, padded_shape: Shape3) -> ValuePlan | None:
    """Plan how to code values on a lattice.

    Args:
        chunk: the values, some of them valid.
        max_error: largest error in the volume's units; 0 for integers that stay exact.
        padded_shape: (z, y, x) of a whole chunk.

    Returns:
        The plan; None where the error is too small for the range of the values.
    """
    try:
        return plan_values(chunk.filled(), max_error, padded_shape, chunk.valid)
    except ValueError:
        return None


def encode_lattice(plan: ValuePlan) -> tuple[bytes, np.ndarray] | None:
    """Code values as planned.

    Returns:
        The body, and the values that it decodes to; None where they would miss the bound.
    """
    try:
        return encode_plan(plan)
    except ValueError:
        return None


def decode_lattice(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_lattice``."""
    return decode_values(body, shape, padded_shape, dtype)
