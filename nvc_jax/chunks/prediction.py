"""Coding of a chunk by prediction from neighbours: on a lattice, or else uniformly quantised."""

from typing import NamedTuple

import numpy as np

from nvc_jax.chunks import bodies, lattice_body
from nvc_jax.chunks.candidates import price_of_error
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.transform_body import CodedBody
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_float
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.values import ValuePlan

_ERROR_PER_STEP = 0.37
"""Largest error of a lattice, in steps of the transform, where there is no bound: its slope of bits against
error is then that of the transform."""


class Prediction(NamedTuple):
    """A chunk that may be coded by prediction.

    Attributes:
        plan: of its lattice; None where it has none.
        cost: estimated cost of the lattice in bits; 0 without one.
        max_error: largest error that values may have.
    """

    plan: ValuePlan | None
    cost: float
    max_error: float

    def is_below(self, transformed: CodedBody, target: ChunkTarget) -> bool:
        """Tell whether a lattice is estimated to cost less than the transform will in the end."""
        is_bounded = target.max_error is not None
        return is_bounded and self.plan is not None and self.cost < 8 * len(transformed.body)


def plan_prediction(chunk: ChunkValues, target: ChunkTarget, padded_shape: Shape3) -> Prediction | None:
    """Plan to code a chunk, some values of which are valid; None for floats that stay exact."""
    max_error = target.max_error
    if max_error is None:
        max_error = _ERROR_PER_STEP * (target.step or 0.0)
    if max_error == 0 and is_float(chunk.values.dtype):
        return None
    plan = lattice_body.plan_lattice(chunk, max_error, padded_shape)
    if plan is None:
        return Prediction(None, 0.0, max_error)
    estimate = plan.estimate()
    return Prediction(plan, estimate.bits + price_of_error(estimate.squared_error, target), max_error)


def encode_prediction(
    chunk: ChunkValues, prediction: Prediction, padded_shape: Shape3
) -> tuple[PayloadKind, bytes, np.ndarray | None] | None:
    """Code a chunk as planned.

    Returns:
        Kind, body, and the decoded values if they are known; None where there is no body.
    """
    lattice = None if prediction.plan is None else lattice_body.encode_lattice(prediction.plan)
    if lattice is not None:
        return PayloadKind.LATTICE, *lattice
    uniform = bodies.encode_uniform(chunk, prediction.max_error, padded_shape)
    return None if uniform is None else (PayloadKind.UNIFORM, uniform, None)
