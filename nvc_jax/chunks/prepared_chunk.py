"""A chunk with what its encoder finds once, whatever the step: encoders try several steps."""

import dataclasses
import math

import numpy as np

from nvc_jax.chunks import bodies
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.exact_values import ExactValues, find_exact_values, without_exact_values
from nvc_jax.chunks.prediction import Prediction, prepare_prediction
from nvc_jax.chunks.rank_body import encode_ranks, rank_values
from nvc_jax.chunks.special_values import encode_special_values
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.shapes import Shape3


@dataclasses.dataclass(frozen=True, eq=False)
class BodyValues:
    """The values of a chunk that a body codes, apart from those that are stored exactly.

    Attributes:
        chunk: the values; those that the body codes are valid.
        valid: bool, (z, y, x): those and the exact values.
        patterns: bit patterns of the exact values; None for none.
        padded_shape: (z, y, x) of a whole chunk.
    """

    chunk: ChunkValues
    valid: np.ndarray
    patterns: np.ndarray | None
    padded_shape: Shape3
    _predictions: dict[ChunkTarget, Prediction | None] = dataclasses.field(default_factory=dict)

    @cached_property
    def special_values(self) -> bytes:
        """Bytes of the values that the body does not code."""
        if self.patterns is None and not self.chunk.has_gaps:
            return b""
        return encode_special_values(self.chunk.values, self.valid, self.padded_shape, self.patterns)

    def prediction(self, target: ChunkTarget) -> Prediction | None:
        """Prepare to code the values by prediction; see ``prepare_prediction``."""
        # Under a bound, nothing depends on the step.
        key = target if target.max_error is None else dataclasses.replace(target, step=None)
        if key not in self._predictions:
            self._predictions.clear()
            self._predictions[key] = prepare_prediction(self.chunk, target, self.padded_shape)
        return self._predictions[key]

    def lattice_cost(self, target: ChunkTarget) -> float:
        """Estimate roughly the cost in bits on a lattice; infinite without one."""
        if self.chunk.low == self.chunk.high:
            return math.inf
        prediction = self.prediction(target)
        rough = 0.0 if prediction is None else prediction.rough_cost
        return 8 * len(self.special_values) + rough if rough else math.inf

    @cached_property
    def ranks(self) -> bytes | None:
        """Body of ranks; None where there are too many different values."""
        ranked = rank_values(self.chunk, self.padded_shape)
        return None if ranked is None else encode_ranks(ranked)

    @cached_property
    def differences(self) -> bytes:
        """Body of differences."""
        return bodies.encode_differences(self.chunk, self.padded_shape)

    @cached_property
    def packed(self) -> bytes:
        """Body of packed values."""
        return bodies.encode_packed(self.chunk)


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedChunk:
    """A chunk that is ready to be encoded.

    Attributes:
        chunk: the values.
        padded_shape: (z, y, x) of a whole chunk.
    """

    chunk: ChunkValues
    padded_shape: Shape3
    _separated: dict[bytes, BodyValues] = dataclasses.field(default_factory=dict)

    @cached_property
    def exact(self) -> ExactValues:
        """Values that may be worth telling apart."""
        return find_exact_values(self.chunk)

    @cached_property
    def levels(self) -> bytes | None:
        """Body of few levels; None where there are too many."""
        return bodies.encode_levels(self.chunk, self.padded_shape)

    @cached_property
    def plain(self) -> BodyValues:
        """All valid values in the body."""
        return BodyValues(self.chunk, self.chunk.valid, None, self.padded_shape)

    def separated(self, patterns: np.ndarray) -> BodyValues:
        """Tell exact values of some bit patterns apart."""
        key = patterns.tobytes()
        if key not in self._separated:
            rest = without_exact_values(self.chunk, patterns)
            self._separated[key] = BodyValues(rest, self.chunk.valid, patterns, self.padded_shape)
        return self._separated[key]
