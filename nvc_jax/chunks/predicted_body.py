"""Bodies of steps that are predicted from the step before: weights, and the transformed difference."""

import functools
import math
from typing import Protocol

import numpy as np

from nvc_jax.chunks.candidates import price_of_error, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.coded_body import CodedBody, CodedStream
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.step_prediction import (
    WEIGHTS_BYTES,
    StepPrediction,
    difference_reserve,
    predict_values,
)
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import DearChunk, TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_narrow
from nvc_jax.core.errors import squared_errors
from nvc_jax.core.shapes import Shape3, check_shape

_WORTH = 0.98
"""Estimated cost of a predicted step over that of the step by itself up to which it is predicted."""
_FEW_BITS = 0.2
"""Estimated cost of a voxel, in bits, below which estimates are off by so much that a step is coded in both
ways."""


class PredictedBodyCodec:
    """Encodes and decodes the bodies of one container.

    Args:
        coder: of the model.
        padded_shape: (z, y, x) of a whole chunk.
        dtype: of the volume.
    """

    def __init__(self, coder: TransformCoder, padded_shape: Shape3, dtype: np.dtype) -> None:
        self._padded_shape, self._dtype = padded_shape, dtype
        self._values = TransformBodyCodec(coder, padded_shape, dtype)
        self._differences = TransformBodyCodec(coder, padded_shape, np.dtype(np.float32))

    def encode(
        self,
        chunk: ChunkValues,
        prediction: StepPrediction,
        target: ChunkTarget,
        boundaries: int,
        limit: float = math.inf,
    ) -> CodedBody | DearChunk | None:
        """Encode a step, unless it is likely to cost too much.

        Args:
            chunk: the values, of a dtype whose values float32 holds.
            prediction: of them.
            target: bound, and step in the volume's units.
            boundaries: see ``TransformCoder.encode``.
            limit: see ``ChunkToEncode``.

        Returns:
            The body, or what it would cost; None where the difference does not suit the transform.
        """
        predicted = prediction.values
        with np.errstate(over="ignore", invalid="ignore"):
            differences = np.where(chunk.valid, chunk.values.astype(np.float32) - predicted, np.float32(0))
        difference = ChunkValues.of_valid(differences, chunk.valid)
        if not (difference.low < difference.high and math.isfinite(difference.high - difference.low)):
            return None
        coded = self._differences.encode_stream(difference, target, boundaries, limit)
        if not isinstance(coded, CodedStream):
            return coded
        body = prediction.weights + coded.body
        stream = coded._replace(
            chunk=chunk,
            body=body,
            decode=lambda: _add(predicted, coded.decode()),
            reserve=self.decoding_reserve(body, prediction),
        )
        complete = functools.partial(self._values.complete, stream, target)
        return CodedBody(stream.body, complete, stream.estimate, PayloadKind.PREDICTED)

    def decoding_reserve(self, body: bytes, prediction: StepPrediction) -> float:
        """Bound the difference between values decoded here and on any other device, before rounding."""
        differences = body[WEIGHTS_BYTES:]
        limits = self._differences.limits(differences) or (0.0, 0.0)
        own = self._differences.decoding_reserve(differences)
        return own + prediction.reserve + difference_reserve(max(map(abs, limits)))

    def decode(self, body: bytes, correction: bytes, before: np.ndarray) -> np.ndarray:
        """Decode a body, corrected unless ``correction`` is empty, in the volume's dtype.

        Args:
            body: the bytes.
            correction: its bytes.
            before: decoded values of the step before, (z, y, x), in the volume's dtype.

        Raises:
            ValueError: the body cannot be of such a step.
        """
        if not is_narrow(self._dtype):
            raise ValueError(f"a step of {self._dtype} is predicted, whose values float32 does not hold")
        shape = check_shape(before.shape)
        predicted = predict_values(before, body[:WEIGHTS_BYTES], self._padded_shape)
        difference = self._differences.decode(body[WEIGHTS_BYTES:], b"", shape)
        return self._values.correct_and_round(_add(predicted, difference), correction, shape)


def _add(predicted: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Add decoded differences to a prediction, float32."""
    with np.errstate(over="ignore", invalid="ignore"):  # those of a damaged step may be anything
        return predicted + difference


class BodyTransform(Protocol):
    """Encodes chunks by a transform; see ``TransformBodyCodec.encode``."""

    def encode(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int, limit: float = math.inf
    ) -> CodedBody | DearChunk | None: ...


class StepTransform:
    """Encodes a step by a transform of its values, or of their difference from a prediction.

    Args:
        plain: transform of the values.
        predicted: of the differences.
        prediction: of the step.
    """

    def __init__(
        self, plain: TransformBodyCodec, predicted: PredictedBodyCodec, prediction: StepPrediction
    ) -> None:
        self._plain, self._predicted, self._prediction = plain, predicted, prediction

    def encode(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int, limit: float = math.inf
    ) -> CodedBody | DearChunk | None:
        """Encode a step in the way that is estimated to cost less; as ``TransformBodyCodec.encode``."""
        plain = self._plain.encode(chunk, target, boundaries, limit=-1.0)
        if plain is None:
            return None
        if isinstance(plain, DearChunk) and plain.cost <= min(limit, _FEW_BITS * chunk.n_valid):
            return self._encode_in_both_ways(chunk, target, boundaries)
        most = min(limit, _WORTH * _cost(plain))
        predicted = self._predicted.encode(chunk, self._prediction, target, boundaries, most)
        has_estimates = isinstance(plain, DearChunk)
        if isinstance(predicted, CodedBody) and (has_estimates or _cost(predicted) <= most):
            return predicted
        if not isinstance(plain, DearChunk):
            return plain
        if plain.cost <= limit:
            return self._plain.encode(chunk, target, boundaries, limit)
        return predicted if isinstance(predicted, DearChunk) and predicted.cost < plain.cost else plain

    def _encode_in_both_ways(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int
    ) -> CodedBody | DearChunk | None:
        """Encode a step in the way that costs less."""
        tried = (
            self._plain.encode(chunk, target, boundaries),
            self._predicted.encode(chunk, self._prediction, target, boundaries),
        )
        coded = [one for one in tried if isinstance(one, CodedBody)]
        coded = [one._replace(complete=functools.cache(one.complete)) for one in coded]
        return min(coded, key=lambda one: _measure_cost(one, chunk, target))


def _measure_cost(coded: CodedBody, chunk: ChunkValues, target: ChunkTarget) -> float:
    """Cost of a body with its correction; infinite where it cannot keep to the target."""
    completed = coded.complete()
    if completed is None:
        return math.inf
    valid = chunk.valid if chunk.has_gaps else None
    squared, _ = squared_errors(chunk.values, completed.decoded, valid, squared_unit(target))
    n_bytes = len(completed.body) + len(completed.correction)
    return 8.0 * n_bytes + price_of_error(squared, target)


def _cost(coded: CodedBody | DearChunk) -> float:
    """Estimated cost of a body; its bits where the coder states no estimate."""
    if isinstance(coded, DearChunk):
        return coded.cost
    return 8.0 * len(coded.body) if coded.estimate is None else coded.estimate
