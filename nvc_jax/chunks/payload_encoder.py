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
from nvc_jax.chunks.begun_chunk import BY_ALL, BY_LATTICE, USUAL_SHARE, BegunChunk, find_promising
from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidate_measurer import CandidateMeasurer
from nvc_jax.chunks.candidates import Candidate, cheapest
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.coded_body import CodedBody
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.exact_values import required_patterns
from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.lossless_candidates import exact_candidate, lossless_candidates
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.predicted_body import BodyTransform
from nvc_jax.chunks.prediction import Prediction
from nvc_jax.chunks.prepared_chunk import BodyValues, PreparedChunk
from nvc_jax.chunks.transform_coder import DearChunk
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.idle_cores import map_on_idle_cores


class PayloadEncoder:
    """Encodes chunks of one padded shape and dtype, each by itself.

    Args:
        transform: of the model, for steps perhaps of their difference from a prediction.
        decoder: of bodies, which says what readers will decode.
        padded_shape: (z, y, x) of a whole chunk.
        decoded_range: rules that readers enforce on decoded values.
        exact_values: valid values that come back exactly, because the user asks for it.
    """

    def __init__(
        self,
        transform: BodyTransform,
        decoder: BodyDecoder,
        padded_shape: Shape3,
        decoded_range: DecodedRange,
        exact_values: tuple[float, ...] = (),
    ) -> None:
        self._transform, self._padded_shape, self._exact_values = transform, padded_shape, exact_values
        self._measurer = CandidateMeasurer(decoder, padded_shape, decoded_range)

    def encode(
        self,
        prepared: PreparedChunk,
        target: ChunkTarget,
        boundaries: int,
        experience: Experience = NO_EXPERIENCE,
    ) -> Candidate:
        """Encode a chunk in the cheapest way.

        Args:
            prepared: the chunk.
            target: bound and step that the payload must keep to.
            boundaries: bits of the chunk boundaries at which the chunk meets others.
            experience: with the volume under this target.
        """
        # A bound holds at chunk boundaries as it does elsewhere: there is no seam to hide.
        boundaries = boundaries if target.max_error is None else 0
        chunk = prepared.chunk
        required = required_patterns(chunk, self._exact_values)
        is_exact = target.max_error == 0 or (chunk.low == chunk.high and required.size == 1)
        if required.size and not is_exact:
            return self._encode_exactly(prepared, required, target, boundaries, experience)
        constant = self._constant(prepared.plain, target)
        if constant is not None:
            return constant
        exact, levels = prepared.exact, prepared.levels
        if levels is not None:
            plain = self._begin(prepared.plain, target, boundaries, experience)
            return cheapest(
                [*self._complete(plain, target), self._levels_candidate(levels, prepared)], target
            )
        if not exact.patterns.size:
            plain = self._begin(prepared.plain, target, boundaries, experience)
            return cheapest(self._complete(plain, target), target)
        return self._encode_apart_or_not(prepared, target, boundaries, experience)

    def _encode_apart_or_not(
        self, prepared: PreparedChunk, target: ChunkTarget, boundaries: int, experience: Experience
    ) -> Candidate:
        """Encode a chunk with exact values apart, or not, or both where either may be the cheaper way."""
        values = [prepared.separated(prepared.exact.patterns), prepared.plain]
        costs = map_on_idle_cores(lambda one: one.lattice_cost(target), values)
        promising = find_promising(costs, BY_LATTICE)
        begun: list[BegunChunk] = []
        for one in itertools.compress(values, promising):
            dearest = begun[0].estimate(target) if begun else math.inf
            begun.append(self._begin(one, target, boundaries, experience, dearest))
            if one is values[0] and begun[0].is_certain(prepared.exact.jump, costs[1], target):
                break
        if len(begun) == 2:
            promising = find_promising([way.estimate(target) for way in begun], BY_ALL)
            begun = list(itertools.compress(begun, promising))
        completed = map_on_idle_cores(lambda way: list(self._complete(way, target)), begun)
        return cheapest(itertools.chain(*completed), target)

    def encode_body(self, chunk: ChunkValues, target: ChunkTarget) -> Payload:
        """Encode the valid values of a chunk under a bound; no others come back."""
        values = BodyValues(chunk, np.ones_like(chunk.valid), None, self._padded_shape)
        return cheapest(self._complete(self._begin(values, target, 0, NO_EXPERIENCE), target), target).payload

    def _encode_exactly(
        self,
        prepared: PreparedChunk,
        required: np.ndarray,
        target: ChunkTarget,
        boundaries: int,
        experience: Experience,
    ) -> Candidate:
        """Encode a chunk whose values of the ``required`` bit patterns must come back exactly."""
        frequent = prepared.exact.patterns
        patterns = np.concatenate([required, frequent[~np.isin(frequent, required)]])
        begun = self._begin(prepared.separated(patterns), target, boundaries, experience)
        candidates = list(self._complete(begun, target))
        if prepared.levels is not None:
            candidates.append(self._levels_candidate(prepared.levels, prepared))
        return cheapest(candidates, target)

    def _levels_candidate(self, levels: bytes, prepared: PreparedChunk) -> Candidate:
        """Make a candidate of a body of few levels."""
        return exact_candidate(PayloadKind.LEVELS, levels, prepared.plain)

    def _constant(self, values: BodyValues, target: ChunkTarget) -> Candidate | None:
        """Code values by one value; None where that does not keep to the target."""
        chunk = values.chunk
        if not chunk.n_valid:
            return self._measurer.measure(
                values, target, PayloadKind.CONSTANT, bytes(chunk.values.dtype.itemsize)
            )
        constant = bodies.encode_constant(chunk, target.max_error)
        if constant is None:
            return None
        candidate = self._measurer.measure(values, target, PayloadKind.CONSTANT, constant)
        return candidate if candidate.keeps_bound(target) else None

    def _begin(
        self,
        values: BodyValues,
        target: ChunkTarget,
        boundaries: int,
        experience: Experience,
        dearest: float = math.inf,
    ) -> BegunChunk:
        """Code values so far that the cost can be estimated.

        Args:
            values: the values.
            target: bound and step.
            boundaries: as of ``encode``.
            experience: as of ``encode``.
            dearest: cost above which the transform is no use.
        """
        constant = self._constant(values, target)
        if constant is not None:
            return BegunChunk(values, constant)
        prediction = values.prediction(target)
        if target.max_error == 0 or (prediction is not None and prediction.is_certain):
            return BegunChunk(values, None, None, prediction)
        begun = BegunChunk(values, None, None, prediction, boundaries, experience)
        if begun.is_for_lattice(target):
            return begun._replace(transformed=DearChunk(math.inf))
        limit = math.inf
        if prediction is not None and not (begun.is_for_transform(target) and math.isinf(dearest)):
            likely = begun.shares.lattice * values.lattice_cost(target)
            limit = min(likely, dearest) / begun.shares.transform - 8 * len(values.special_values)
        transformed = self._transform.encode(values.chunk, target, boundaries, limit)
        return begun._replace(transformed=transformed)

    def _complete(self, begun: BegunChunk, target: ChunkTarget) -> Iterator[Candidate]:
        """Code a chunk in every way that may be the cheapest and keeps to the target."""
        values, constant, transformed, prediction, *_ = begun
        if constant is not None:
            yield constant
            return
        smallest_cost, predicted, special_bits = math.inf, None, 8 * len(values.special_values)
        shares, least = begun.shares, math.inf
        if isinstance(transformed, DearChunk):
            least = USUAL_SHARE * transformed.cost + special_bits
            predicted, transformed = self._predict_or_transform(begun, transformed, target)
        elif transformed is not None and prediction is not None and target.max_error is not None:
            completed_bits = shares.completion * 8 * len(transformed.body)
            least = completed_bits + special_bits
            predicted = self._predict_below(completed_bits, shares.lattice, begun, target)
            if _is_sure(predicted, least, target):
                transformed = None
        if transformed is not None and (completed := transformed.complete()) is not None:
            spectral = self._measurer.measure(values, target, transformed.kind, *completed)
            # Where valid values decode to NaN the transform has failed.
            if not math.isnan(spectral.payload.max_error) and spectral.keeps_bound(target):
                smallest_cost = least = spectral.cost(target)
                yield spectral
        limit = shares.worth * (smallest_cost - special_bits)
        if predicted is None and not begun.is_for_transform(target, smallest_cost):
            predicted = self._predict_below(limit, shares.lattice, begun, target)
        learns = begun.compare(predicted, least, target)
        if learns and transformed is not None and smallest_cost < math.inf:
            self._learn(begun, transformed, target, smallest_cost, predicted)
        if predicted is not None and predicted.keeps_bound(target):
            smallest_cost = min(smallest_cost, predicted.cost(target))
            yield predicted
        leaves_differences = predicted is None or target.max_error != 0
        yield from lossless_candidates(values, target, smallest_cost, leaves_differences)

    def _predict_or_transform(
        self, begun: BegunChunk, dear: DearChunk, target: ChunkTarget
    ) -> tuple[Candidate | None, CodedBody | None]:
        """Code a chunk by prediction, and by the transform after all where that may be the cheaper way."""
        least = begun.shares.transform * dear.cost
        is_tried = begun.prediction is not None and begun.prediction.is_tried
        predicted = self._predict_below(least if is_tried else math.inf, 1.0, begun, target)
        if _is_sure(predicted, least + 8 * len(begun.values.special_values), target):
            return predicted, None
        transformed = self._transform.encode(begun.values.chunk, target, begun.boundaries)
        assert not isinstance(transformed, DearChunk)
        return predicted, transformed

    def _learn(
        self,
        begun: BegunChunk,
        body: CodedBody,
        target: ChunkTarget,
        transform: float,
        predicted: Candidate | None,
    ) -> None:
        """Add a chunk that was coded by the transform, at this cost, to the experience with both ways."""
        lattice = begun.lattice_cost(predicted, transform, target)
        if math.isinf(lattice):
            return
        estimate = body.estimate
        if estimate is None:  # of a coder of several chunks at a time, which returns streams alone
            dear = self._transform.encode(begun.values.chunk, target, begun.boundaries, limit=-1.0)
            estimate = dear.cost if isinstance(dear, DearChunk) else 0.0
        begun.learn(estimate, 8 * len(body.body), transform, lattice)

    def _predict_below(
        self, cost: float, share: float, begun: BegunChunk, target: ChunkTarget
    ) -> Candidate | None:
        """Code a chunk by prediction where that may cost less; see ``Prediction.may_cost_less_than``."""
        if begun.prediction is None:
            return None
        if not begun.prediction.may_cost_less_than(cost, share, begun.tried_share):
            return None
        return self._predict(begun.values, begun.prediction, target)

    def _predict(self, values: BodyValues, prediction: Prediction, target: ChunkTarget) -> Candidate | None:
        """Code a chunk by prediction; None where there is no body."""
        coded = prediction.coded
        if coded is None:
            return None
        return self._measurer.measure(
            values, target, coded.kind, coded.body, decoded=coded.decoded, max_error=coded.max_error
        )


def _is_sure(predicted: Candidate | None, least: float, target: ChunkTarget) -> bool:
    """Tell whether a chunk coded by prediction costs no more than the transform will at least."""
    return predicted is not None and predicted.keeps_bound(target) and predicted.cost(target) <= least
