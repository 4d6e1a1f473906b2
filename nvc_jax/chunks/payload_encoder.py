"""The cheapest payload of a chunk that keeps to a target.

The encoder tries every way of coding that may suit a chunk and keeps the cheapest: one value, few levels, the
transform with a correction, a lattice, uniform quantisation, ranks in a table, differences, the packed
values; all but the levels also with frequent values told apart as ``exact_values``. Under a bound the
cheapest way takes the fewest bytes. Without one, squared errors have a price in bits. In the worst case a
chunk is stored as its own bytes plus a payload header.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from nvc_jax.chunks import bodies
from nvc_jax.chunks.begun_chunk import BY_ALL, BY_LATTICE, BegunChunk, find_promising
from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidates import Candidate, cheapest, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.exact_values import required_patterns
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.prediction import Prediction
from nvc_jax.chunks.prepared_chunk import BodyValues, PreparedChunk
from nvc_jax.chunks.special_values import encode_special_values
from nvc_jax.chunks.transform_body import CodedBody, TransformBodyCodec
from nvc_jax.chunks.transform_coder import DearChunk
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.native.float_errors import largest_and_squared_errors, largest_error

LOSSLESS_SHARE = 1 / 4
"""Share of the chunk's own bytes above which the smallest body makes lossless coding worth trying."""
_CHEAP_SHARE = 1 / 20
"""Share of a chunk's cost below which the labels of exact values are cheap."""
CERTAIN_JUMP = 20.0
"""Jump of exact values from which on a chunk is not coded with them as well, if their labels are cheap."""
_COMPLETION = 1.18
"""Usual least cost of a chunk under a bound, with its correction, over the bits that its transform takes."""
_LEAST_SHARE = 0.65
"""Usual least cost of a transform over its estimate. If the likely cost of a lattice is below it, the lattice
is coded first; if its cost is, too, the transform is left out."""
_WORTH_A_TRY = 1.03
"""Likely cost of a lattice, over that of the transformed chunk, up to which the lattice is tried. With these
shares, 90 volumes at three steps and under three bounds took at most 0.1 % more bits in the mean than by the
cheaper one of both ways, and 5 to 7 % more in two cases."""


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

    def encode(self, prepared: PreparedChunk, target: ChunkTarget, boundaries: int) -> Candidate:
        """Encode a chunk in the cheapest way.

        Args:
            prepared: the chunk.
            target: bound and step that the payload must keep to.
            boundaries: bits of the chunk boundaries at which the chunk meets others.
        """
        # A bound holds at chunk boundaries as it does elsewhere: there is no seam to hide.
        boundaries = boundaries if target.max_error is None else 0
        chunk = prepared.chunk
        required = required_patterns(chunk, self._exact_values)
        is_exact = target.max_error == 0 or (chunk.low == chunk.high and required.size == 1)
        if required.size and not is_exact:
            return self._encode_exactly(prepared, required, target, boundaries)
        constant = self._constant(prepared.plain, target)
        if constant is not None:
            return constant
        exact, levels = prepared.exact, prepared.levels
        if levels is not None:
            plain = self._begin(prepared.plain, target, boundaries)
            return cheapest(
                [*self._complete(plain, target), self._levels_candidate(levels, prepared)], target
            )
        if not exact.patterns.size:
            return cheapest(self._complete(self._begin(prepared.plain, target, boundaries), target), target)
        return self._encode_apart_or_not(prepared, target, boundaries)

    def _encode_apart_or_not(
        self, prepared: PreparedChunk, target: ChunkTarget, boundaries: int
    ) -> Candidate:
        """Encode a chunk with exact values apart, or not, or both where either may be the cheaper way."""
        values = [prepared.separated(prepared.exact.patterns), prepared.plain]
        promising = find_promising([one.lattice_cost(target) for one in values], BY_LATTICE)
        begun: list[BegunChunk] = []
        for one in itertools.compress(values, promising):
            dearest = begun[0].estimate(target) / _LEAST_SHARE if begun else math.inf
            begun.append(self._begin(one, target, boundaries, dearest))
            is_certain = one is values[0] and prepared.exact.jump >= CERTAIN_JUMP
            if is_certain and 8 * len(one.special_values) < _CHEAP_SHARE * begun[0].estimate(target):
                break
        if len(begun) == 2:
            promising = find_promising([way.estimate(target) for way in begun], BY_ALL)
            begun = list(itertools.compress(begun, promising))
        return cheapest([one for way in begun for one in self._complete(way, target)], target)

    def encode_body(self, chunk: ChunkValues, target: ChunkTarget) -> Payload:
        """Encode the valid values of a chunk under a bound; no others come back."""
        values = BodyValues(chunk, np.ones_like(chunk.valid), None, self._padded_shape)
        return cheapest(self._complete(self._begin(values, target, 0), target), target).payload

    def _encode_exactly(
        self, prepared: PreparedChunk, required: np.ndarray, target: ChunkTarget, boundaries: int
    ) -> Candidate:
        """Encode a chunk whose values of the ``required`` bit patterns must come back exactly."""
        frequent = prepared.exact.patterns
        patterns = np.concatenate([required, frequent[~np.isin(frequent, required)]])
        begun = self._begin(prepared.separated(patterns), target, boundaries)
        candidates = list(self._complete(begun, target))
        if prepared.levels is not None:
            candidates.append(self._levels_candidate(prepared.levels, prepared))
        return cheapest(candidates, target)

    def _levels_candidate(self, levels: bytes, prepared: PreparedChunk) -> Candidate:
        """Make a candidate of a body of few levels."""
        return self._exact_candidate(PayloadKind.LEVELS, levels, prepared.plain)

    def _exact_candidate(self, kind: PayloadKind, body: bytes, values: BodyValues) -> Candidate:
        """Make a candidate of a body that is known to be lossless."""
        shape = check_shape(values.chunk.values.shape)
        return Candidate(Payload(kind, shape, 0.0, body, values.special_values), 0.0)

    def _constant(self, values: BodyValues, target: ChunkTarget) -> Candidate | None:
        """Code values by one value; None where that does not keep to the target."""
        chunk = values.chunk
        if not chunk.valid.any():
            return self._measure(values, target, PayloadKind.CONSTANT, bytes(chunk.values.dtype.itemsize))
        constant = bodies.encode_constant(chunk, target.max_error)
        if constant is None:
            return None
        candidate = self._measure(values, target, PayloadKind.CONSTANT, constant)
        return candidate if candidate.keeps_bound(target) else None

    def _begin(
        self, values: BodyValues, target: ChunkTarget, boundaries: int, dearest: float = math.inf
    ) -> BegunChunk:
        """Code values so far that the cost can be estimated.

        Args:
            values: the values.
            target: bound and step.
            boundaries: as of ``encode``.
            dearest: estimated cost of a transform above which it is no use.
        """
        constant = self._constant(values, target)
        if constant is not None:
            return BegunChunk(values, constant)
        prediction = values.prediction(target)
        if target.max_error == 0 or (prediction is not None and prediction.is_certain):
            return BegunChunk(values, None, None, prediction)
        limit = math.inf
        if prediction is not None:
            limit = min(values.lattice_cost(target) / _LEAST_SHARE, dearest) - 8 * len(values.special_values)
        transformed = self._transform.encode(values.chunk, target, boundaries, limit)
        return BegunChunk(values, None, transformed, prediction, boundaries)

    def _complete(self, begun: BegunChunk, target: ChunkTarget) -> Iterator[Candidate]:
        """Code a chunk in every way that may be the cheapest and keeps to the target."""
        values, constant, transformed, prediction, _ = begun
        if constant is not None:
            yield constant
            return
        smallest_cost, predicted, special_bits = math.inf, None, 8 * len(values.special_values)
        if isinstance(transformed, DearChunk):
            predicted, transformed = self._predict_or_transform(begun, transformed, target)
        elif transformed is not None and prediction is not None and target.max_error is not None:
            likely = _COMPLETION * 8 * len(transformed.body)
            if prediction.may_cost_less_than(likely):
                predicted = self._predict(values, prediction, target)
                if _is_sure(predicted, likely + special_bits, target):
                    transformed = None
        if transformed is not None and (completed := transformed.complete()) is not None:
            spectral = self._measure(values, target, PayloadKind.SPECTRAL, *completed)
            # Where valid values decode to NaN the transform has failed.
            if not math.isnan(spectral.payload.max_error) and spectral.keeps_bound(target):
                smallest_cost = spectral.cost(target)
                yield spectral
        limit = _WORTH_A_TRY * (smallest_cost - special_bits)
        if predicted is None and prediction is not None and prediction.may_cost_less_than(limit):
            predicted = self._predict(values, prediction, target)
        if predicted is not None and predicted.keeps_bound(target):
            smallest_cost = min(smallest_cost, predicted.cost(target))
            yield predicted
        leaves_differences = predicted is None or target.max_error != 0
        yield from self._lossless_candidates(values, target, smallest_cost, leaves_differences)

    def _predict_or_transform(
        self, begun: BegunChunk, dear: DearChunk, target: ChunkTarget
    ) -> tuple[Candidate | None, CodedBody | None]:
        """Code a chunk by prediction, and by the transform after all where that may be the cheaper way."""
        values, prediction = begun.values, begun.prediction
        assert prediction is not None  # which is what the transform is dear beside
        predicted = self._predict(values, prediction, target)
        least = _LEAST_SHARE * dear.cost + 8 * len(values.special_values)
        if _is_sure(predicted, least, target):
            return predicted, None
        transformed = self._transform.encode(values.chunk, target, begun.boundaries)
        assert not isinstance(transformed, DearChunk)
        return predicted, transformed

    def _predict(self, values: BodyValues, prediction: Prediction, target: ChunkTarget) -> Candidate | None:
        """Code a chunk by prediction; None where there is no body."""
        coded = prediction.coded
        if coded is None:
            return None
        return self._measure(values, target, coded.kind, coded.body, decoded=coded.decoded)

    def _measure(
        self,
        values: BodyValues,
        target: ChunkTarget,
        kind: PayloadKind,
        body: bytes,
        correction: bytes = b"",
        decoded: np.ndarray | None = None,
        reserve: float = 0.0,
    ) -> Candidate:
        """Make a candidate of a body; what the rules take beyond a bound is stored exactly."""
        chunk, original = values.chunk, values.chunk.values
        payload = Payload(kind, check_shape(original.shape), 0.0, body, values.special_values, correction)
        decoded = self._decoder.decode(payload) if decoded is None else decoded
        decoded, in_body = self._decoded_range.enforce(decoded), chunk.valid
        broken = self._decoded_range.find_broken(original, decoded, target.max_error, reserve)
        if broken is not None and (broken & in_body).any():
            in_body = in_body & ~broken
            valid = values.valid & ~(chunk.valid & broken)
            stored = encode_special_values(original, valid, self._padded_shape, values.patterns)
            payload = payload._replace(special_values=stored)
        counted = in_body if chunk.has_gaps or in_body is not chunk.valid else None
        if target.max_error is None:
            unit = squared_unit(target)
            error, squared = largest_and_squared_errors(original, decoded, counted, unit)
        else:
            error, squared = largest_error(original, decoded, counted), 0.0
        return Candidate(payload._replace(max_error=error), squared)

    def _lossless_candidates(
        self, values: BodyValues, target: ChunkTarget, smallest_cost: float, leaves_differences: bool
    ) -> Iterator[Candidate]:
        """Code a chunk in the lossless ways that may be cheaper than ``smallest_cost``.

        ``leaves_differences`` is false where a lattice is exact: differences are then no use.
        """
        dtype, is_lossless = values.chunk.values.dtype, target.max_error == 0
        is_dear = smallest_cost > 8 * values.chunk.values.nbytes * LOSSLESS_SHARE
        may_have_ranks = is_lossless or (is_dear and target.max_error is None)
        if may_have_ranks and (is_float(dtype) or is_long_integer(dtype)) and values.ranks is not None:
            yield self._exact_candidate(PayloadKind.RANKS, values.ranks, values)
        if is_lossless or is_dear:
            if leaves_differences:
                yield self._exact_candidate(PayloadKind.DIFFERENCES, values.differences, values)
            yield self._exact_candidate(PayloadKind.PACKED, values.packed, values)


def _is_sure(predicted: Candidate | None, least: float, target: ChunkTarget) -> bool:
    """Tell whether a chunk coded by prediction costs no more than the transform will at least."""
    return predicted is not None and predicted.keeps_bound(target) and predicted.cost(target) <= least
