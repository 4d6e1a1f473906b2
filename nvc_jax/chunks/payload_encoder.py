"""The cheapest payload of a chunk that keeps to a target.

The encoder tries every way of coding that may suit a chunk and keeps the cheapest: one value, few levels, the
transform with a correction, a lattice, uniform quantisation, ranks in a table, differences, the packed
values; all but the levels also with frequent values told apart as ``exact_values``. Under a bound the
cheapest way takes the fewest bytes. Without one, squared errors have a price in bits. In the worst case a
chunk is stored as its own bytes plus a payload header.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from nvc_jax.chunks import bodies
from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidates import Candidate, cheapest, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.exact_values import find_exact_values, required_patterns, without_exact_values
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.prediction import Prediction, encode_prediction, prepare_prediction
from nvc_jax.chunks.rank_body import encode_ranks, rank_values
from nvc_jax.chunks.special_values import encode_special_values
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.errors import largest_and_squared_errors, largest_error
from nvc_jax.core.shapes import Shape3, check_shape

LOSSLESS_SHARE = 1 / 4
"""Share of the chunk's own bytes above which the smallest body makes lossless coding worth trying."""
_CHEAP_SHARE = 1 / 20
"""Share of a chunk's cost below which the labels of exact values are cheap."""
CERTAIN_JUMP = 20.0
"""Jump of exact values from which on a chunk is not coded with them as well, if their labels are cheap."""


class PayloadEncoder:
    """Encodes chunks of one padded shape and dtype, each by itself.

    Args:
        transform: of the model.
        decoder: of bodies, which says what readers will decode.
        padded_shape: (z, y, x) of a whole chunk.
        decoded_range: rules that readers enforce on decoded values.
        exact_values: valid values that come back exactly, because the user asks for it.
    """

    def __init__(
        self,
        transform: TransformBodyCodec,
        decoder: BodyDecoder,
        padded_shape: Shape3,
        decoded_range: DecodedRange,
        exact_values: tuple[float, ...] = (),
    ) -> None:
        self._transform, self._decoder, self._padded_shape = transform, decoder, padded_shape
        self._decoded_range, self._exact_values = decoded_range, exact_values

    def encode(self, chunk: ChunkValues, target: ChunkTarget, boundaries: int) -> Candidate:
        """Encode a chunk in the cheapest way.

        Args:
            chunk: the values.
            target: bound and step that the payload must keep to.
            boundaries: bits of the chunk boundaries at which the chunk meets others.
        """
        # A bound holds at chunk boundaries as it does elsewhere: there is no seam to hide.
        boundaries = boundaries if target.max_error is None else 0
        required = required_patterns(chunk, self._exact_values)
        is_exact = target.max_error == 0 or (chunk.low == chunk.high and required.size == 1)
        if required.size and not is_exact:
            return self._encode_exactly(chunk, required, target, boundaries)
        if not chunk.valid.any() or bodies.encode_constant(chunk, target.max_error) is not None:
            plain = self._encode_plainly(chunk, target, boundaries)
            if plain.payload.kind == PayloadKind.CONSTANT:
                return plain
        exact = find_exact_values(chunk)
        levels = bodies.encode_levels(chunk, self._padded_shape)
        if not exact.patterns.size or levels is not None:
            return self._encode_plainly(chunk, target, boundaries, levels)
        separated = self._separate(chunk, exact.patterns, target, boundaries)
        has_cheap_labels = 8 * len(separated.payload.special_values) < _CHEAP_SHARE * separated.cost(target)
        if has_cheap_labels and exact.jump >= CERTAIN_JUMP:
            return separated
        return cheapest([separated, self._encode_plainly(chunk, target, boundaries)], target)

    def encode_body(self, chunk: ChunkValues, target: ChunkTarget) -> Payload:
        """Encode the valid values of a chunk under a bound; no others come back."""
        everywhere = np.ones_like(chunk.valid)
        return cheapest(self._candidates(chunk, everywhere, None, target, 0), target).payload

    def _encode_exactly(
        self, chunk: ChunkValues, required: np.ndarray, target: ChunkTarget, boundaries: int
    ) -> Candidate:
        """Encode a chunk whose values of the ``required`` bit patterns must come back exactly."""
        frequent = find_exact_values(chunk).patterns
        patterns = np.concatenate([required, frequent[~np.isin(frequent, required)]])
        candidates = [self._separate(chunk, patterns, target, boundaries)]
        levels = bodies.encode_levels(chunk, self._padded_shape)
        if levels is not None:
            candidates.append(self._levels_candidate(levels, chunk))
        return cheapest(candidates, target)

    def _separate(
        self, chunk: ChunkValues, patterns: np.ndarray, target: ChunkTarget, boundaries: int
    ) -> Candidate:
        """Encode a chunk with exact values told apart."""
        rest = without_exact_values(chunk, patterns)
        return cheapest(self._candidates(rest, chunk.valid, patterns, target, boundaries), target)

    def _encode_plainly(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int, levels: bytes | None = None
    ) -> Candidate:
        """Encode a chunk without exact values; ``levels`` is its body of few levels if it has one."""
        candidates = list(self._candidates(chunk, chunk.valid, None, target, boundaries))
        if levels is not None:
            candidates.append(self._levels_candidate(levels, chunk))
        return cheapest(candidates, target)

    def _levels_candidate(self, levels: bytes, chunk: ChunkValues) -> Candidate:
        """Make a candidate of a body of few levels."""
        special_values = encode_special_values(chunk.values, chunk.valid, self._padded_shape)
        return self._exact_candidate(PayloadKind.LEVELS, levels, chunk, special_values)

    def _exact_candidate(
        self, kind: PayloadKind, body: bytes, chunk: ChunkValues, special_values: bytes
    ) -> Candidate:
        """Make a candidate of a body that is known to be lossless."""
        payload = Payload(kind, check_shape(chunk.values.shape), 0.0, body, special_values)
        return Candidate(payload, 0.0)

    def _candidates(
        self,
        chunk: ChunkValues,
        valid: np.ndarray,
        patterns: np.ndarray | None,
        target: ChunkTarget,
        boundaries: int,
    ) -> Iterator[Candidate]:
        """Code a chunk in every way that may be the cheapest and keeps to the target.

        Args:
            chunk: the values that the body codes.
            valid: bool, (z, y, x): those and the exact values.
            patterns: bit patterns of the exact values; None for none.
            target: bound and step that the payload must keep to.
            boundaries: see ``encode``.
        """
        max_error = target.max_error
        special_values = encode_special_values(chunk.values, valid, self._padded_shape, patterns)
        measure = functools.partial(self._measure, chunk, valid, patterns, special_values, target)
        if not chunk.valid.any():
            yield measure(PayloadKind.CONSTANT, bytes(chunk.values.dtype.itemsize))
            return
        constant = bodies.encode_constant(chunk, max_error)
        if constant is not None:
            constant_candidate = measure(PayloadKind.CONSTANT, constant)
            if constant_candidate.keeps_bound(target):
                yield constant_candidate
                return

        smallest_cost, predicted = math.inf, None
        prediction = prepare_prediction(chunk, target, self._padded_shape)
        leaves_transform = max_error != 0 and not (prediction is not None and prediction.is_certain)
        transformed = self._transform.encode(chunk, target, boundaries) if leaves_transform else None
        if transformed is not None and prediction is not None and prediction.is_below(transformed):
            predicted = self._predict(chunk, prediction, measure)
            least = 8 * (len(transformed.body) + len(special_values))
            if predicted is not None and predicted.keeps_bound(target) and predicted.cost(target) <= least:
                transformed = None  # which has no chance with the correction
        if transformed is not None and (completed := transformed.complete()) is not None:
            spectral = measure(PayloadKind.SPECTRAL, *completed)
            # Where valid values decode to NaN the transform has failed.
            if not math.isnan(spectral.payload.max_error) and spectral.keeps_bound(target):
                smallest_cost = spectral.cost(target)
                yield spectral
        if predicted is None and prediction is not None and prediction.may_cost_less_than(smallest_cost):
            predicted = self._predict(chunk, prediction, measure)
        if predicted is not None and predicted.keeps_bound(target):
            smallest_cost = min(smallest_cost, predicted.cost(target))
            yield predicted
        leaves_differences = predicted is None or max_error != 0
        yield from self._lossless_candidates(chunk, special_values, target, smallest_cost, leaves_differences)

    def _predict(
        self, chunk: ChunkValues, prediction: Prediction, measure: Callable[..., Candidate]
    ) -> Candidate | None:
        """Code a chunk by prediction; None where there is no body."""
        predicted = encode_prediction(chunk, prediction, self._padded_shape)
        if predicted is None:
            return None
        kind, body, decoded = predicted
        return measure(kind, body, decoded=decoded)

    def _measure(
        self,
        chunk: ChunkValues,
        valid: np.ndarray,
        patterns: np.ndarray | None,
        special_values: bytes,
        target: ChunkTarget,
        kind: PayloadKind,
        body: bytes,
        correction: bytes = b"",
        decoded: np.ndarray | None = None,
        reserve: float = 0.0,
    ) -> Candidate:
        """Make a candidate of a body; what the rules take beyond a bound is stored exactly."""
        values = chunk.values
        payload = Payload(kind, check_shape(values.shape), 0.0, body, special_values, correction)
        decoded = self._decoder.decode(payload) if decoded is None else decoded
        decoded, in_body = self._decoded_range.enforce(decoded), chunk.valid
        broken = self._decoded_range.find_broken(values, decoded, target.max_error, reserve)
        if broken is not None and (broken & in_body).any():
            in_body = in_body & ~broken
            stored = encode_special_values(
                values, valid & ~(chunk.valid & broken), self._padded_shape, patterns
            )
            payload = payload._replace(special_values=stored)
        counted = in_body if chunk.has_gaps or in_body is not chunk.valid else None
        if target.max_error is None:
            unit = squared_unit(target)
            error, (squared, _) = largest_and_squared_errors(values, decoded, counted, unit)
        else:
            error, squared = largest_error(values, decoded, counted), 0.0
        return Candidate(payload._replace(max_error=error), squared)

    def _lossless_candidates(
        self,
        chunk: ChunkValues,
        special_values: bytes,
        target: ChunkTarget,
        smallest_cost: float,
        leaves_differences: bool,
    ) -> Iterator[Candidate]:
        """Code a chunk in the lossless ways that may be cheaper than ``smallest_cost``.

        ``leaves_differences`` is false where a lattice is exact: differences are then no use.
        """
        dtype = chunk.values.dtype
        if target.max_error == 0 and (is_float(dtype) or is_long_integer(dtype)):
            ranked = rank_values(chunk, self._padded_shape)
            if ranked is not None:
                ranks = encode_ranks(ranked)
                yield self._exact_candidate(PayloadKind.RANKS, ranks, chunk, special_values)
        if target.max_error == 0 or smallest_cost > 8 * chunk.values.nbytes * LOSSLESS_SHARE:
            if leaves_differences:
                differences = bodies.encode_differences(chunk, self._padded_shape)
                yield self._exact_candidate(PayloadKind.DIFFERENCES, differences, chunk, special_values)
            packed = bodies.encode_packed(chunk)
            yield self._exact_candidate(PayloadKind.PACKED, packed, chunk, special_values)
