"""Volumes on the lattice, coded from end to end."""

import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.estimate import Estimate
from nvc_jax.lattice.plan import fix_volume, plan_stream
from nvc_jax.lattice.stream import encode_lattice
from nvc_jax.lattice.values import encode_values, fix_values


def code_fixed(
    fixed: np.ndarray, fraction_bits: int, padded_shape: Shape3, valid: np.ndarray | None = None
) -> tuple[bytes, np.ndarray]:
    """Code a volume in fixed point; arguments are those of ``fix_volume``, results of ``encode_lattice``."""
    return encode_lattice(plan_stream(fix_volume(fixed, fraction_bits, padded_shape, valid)))


def code_values(values: np.ndarray, max_error: float, padded_shape: Shape3) -> tuple[bytes, np.ndarray]:
    """Code a volume under a bound; arguments are those of ``fix_values``, results of ``encode_values``."""
    fixed = fix_values(values, max_error, padded_shape)
    stored, decoded, largest = encode_values(fixed, plan_stream(fixed.volume))
    assert largest <= max_error
    return stored, decoded


def estimate_values(
    values: np.ndarray,
    max_error: float,
    padded_shape: Shape3,
    valid: np.ndarray | None = None,
    thinning: int = 0,
) -> Estimate:
    """Estimate a volume under a bound; arguments are those of ``fix_values`` and ``plan_stream``."""
    fixed = fix_values(values, max_error, padded_shape, valid)
    return fixed.estimate(plan_stream(fixed.volume, thinning).counts)
