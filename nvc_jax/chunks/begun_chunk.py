"""A chunk whose encoding has begun: its costs are estimated, and its way of coding can be chosen.

A chunk with exact values is begun twice, with these values apart and without.
"""

import math
from typing import NamedTuple

from nvc_jax.chunks.candidates import Candidate
from nvc_jax.chunks.coded_body import CodedBody
from nvc_jax.chunks.experience import (
    CLEARLY_WITHIN,
    NO_EXPERIENCE,
    Comparison,
    CostShares,
    Experience,
    SeenChunk,
)
from nvc_jax.chunks.prediction import Prediction
from nvc_jax.chunks.prepared_chunk import BodyValues
from nvc_jax.chunks.transform_coder import DearChunk
from nvc_jax.core.chunk_interfaces import ChunkTarget

BY_LATTICE, BY_ALL = (0.45, 1.12), (0.65, 1.2)
"""Ratios of the estimated cost with exact values apart to that without, below and above which the other way
is left out: by lattices alone, before any transform, and by all that is known before anything is completed.
Of 13 volumes with exact values, at ten targets, these ratios left out no way that was the better one."""

CERTAIN_JUMP = 20.0
"""Jump of exact values from which on a chunk is not coded with them as well, if one of the two is small:"""
_CHEAP_SHARE, _CLEAR_RATIO = 1 / 20, 0.65
"""the share of the labels in the chunk's cost, or the ratio of this to the cost on a lattice with them as
well. Of 16 volumes with exact values, at four or seven targets, 7 have such jumps: there the other way was
never the one that would have been chosen."""

USUAL_SHARE = 0.7
"""Usual cost of a transform over its estimate."""

_LEARNED_WITHIN = 1.2
"""Likely cost of a lattice over that of the transform up to which pilots that are not coded by it are learned
from."""
_TRIED_SHARE, _TRIED_SHARE_OF_FEW = 0.97, 0.85
"""Share of its cost by a trial that a lattice may take, of many chunks and of few: one in 4 lattices takes
less than the former, which over a volume costs nearly nothing, and one in 50 less than the latter."""


class BegunChunk(NamedTuple):
    """A chunk coded so far that its cost can be estimated.

    Attributes:
        values: what the body codes.
        constant: candidate of one value, which is the only one; None where there are others.
        transformed: body of the transform, or what it would cost; None where there is none.
        prediction: the chunk, ready to be coded by prediction; None for floats that stay exact.
        boundaries: as of ``PayloadEncoder.encode``.
        experience: with the volume.
    """

    values: BodyValues
    constant: Candidate | None = None
    transformed: CodedBody | DearChunk | None = None
    prediction: Prediction | None = None
    boundaries: int = 0
    experience: Experience = NO_EXPERIENCE

    @property
    def is_apart(self) -> bool:
        """Tell whether exact values are apart."""
        return self.values.patterns is not None

    @property
    def shares(self) -> CostShares:
        """Expected costs over their estimates."""
        return self.experience.shares(is_apart=self.is_apart)

    @property
    def tried_share(self) -> float:
        """Share of its cost by a trial that a lattice may take: the least where the chunk is one of few."""
        return _TRIED_SHARE_OF_FEW if self.experience is NO_EXPERIENCE else _TRIED_SHARE

    def learn(self, estimate: float, stream_bits: float, transform: float, lattice: float) -> None:
        """Add the chunk to the experience; see ``SeenChunk``. Costs include those of the special values."""
        special_bits = 8 * len(self.values.special_values)
        likely = 0.0 if self.prediction is None else self.prediction.rough_cost
        if min(estimate, stream_bits, likely) > 0:
            costs = (transform - special_bits, likely, lattice - special_bits)
            self.experience.seen.append(SeenChunk(self.is_apart, estimate, stream_bits, *costs))

    @property
    def _cost_of_value(self) -> float:
        """Likely cost of the lattice for each valid value; 0 without one."""
        likely = 0.0 if self.prediction is None else self.prediction.rough_cost
        return likely / max(self.values.chunk.n_valid, 1)

    def is_for_lattice(self, target: ChunkTarget) -> bool:
        """Tell whether by experience a lattice is certainly the cheaper way."""
        costs = self.experience.costs_for_lattice(is_apart=self.is_apart)
        return (
            target.max_error is not None and costs is not None and costs[0] <= self._cost_of_value <= costs[1]
        )

    def is_for_transform(self, target: ChunkTarget, transform: float | None = None) -> bool:
        """Tell whether by experience a lattice is no use.

        Args:
            target: bound and step.
            transform: cost of the transform; None if it is not known yet, which leaves it open whether the
                chunk is like those before.
        """
        costs = self.experience.costs_for_transform(is_apart=self.is_apart)
        if target.max_error is not None or costs is None:
            return False
        return transform is None or costs[0] <= self._transform_cost_of_value(transform) <= costs[1]

    def _transform_cost_of_value(self, transform: float) -> float:
        """Cost of the transform for each valid value."""
        return (transform - 8 * len(self.values.special_values)) / max(self.values.chunk.n_valid, 1)

    def compare(self, lattice: Candidate | None, transform: float, target: ChunkTarget) -> bool:
        """Add to the experience what a lattice takes, beside the transform's cost or what that is at least.

        Returns:
            Whether there is more to learn: nothing where the lattice is clearly cheaper.
        """
        if not self.experience.learns:
            return False
        if target.max_error is None:
            cost_of_value = self._transform_cost_of_value(transform)
            is_known = math.isfinite(transform) and cost_of_value > 0
            ratio = self._cost_of_value / cost_of_value if is_known else 0.0
            self.experience.compared.append(Comparison(self.is_apart, cost_of_value, ratio))
            return True
        comparison = Comparison(self.is_apart, 0.0, math.inf)
        if lattice is not None and lattice.keeps_bound(target) and transform > 0:
            ratio = lattice.cost(target) / transform
            comparison = comparison._replace(cost_of_value=self._cost_of_value, ratio=ratio)
        self.experience.compared.append(comparison)
        return comparison.ratio > CLEARLY_WITHIN

    def lattice_cost(self, predicted: Candidate | None, transform: float, target: ChunkTarget) -> float:
        """Cost of the lattice beside the transform, to learn from.

        Args:
            predicted: the lattice, if it was coded.
            transform: cost of the transform.
            target: bound and step.

        Returns:
            The cost, by a trial if the lattice was not coded; infinite where it tells nothing.
        """
        if predicted is not None:
            return predicted.cost(target) if predicted.keeps_bound(target) else math.inf
        special_bits, prediction = 8 * len(self.values.special_values), self.prediction
        if prediction is None or not prediction.is_tried:
            return math.inf
        if prediction.rough_cost > _LEARNED_WITHIN * (transform - special_bits):
            return math.inf
        # A trial that promises more than the estimate is no reason to expect less of other chunks.
        return special_bits + max(prediction.tried_cost, prediction.rough_cost)

    def is_certain(self, jump: float, other_cost: float, target: ChunkTarget) -> bool:
        """Tell whether a chunk with exact values apart is certainly cheaper than with them as well.

        Args:
            jump: of the exact values.
            other_cost: of the other way on a lattice; infinite where nothing tells it.
            target: bound and step.
        """
        if jump < CERTAIN_JUMP:
            return False
        estimate = self.estimate(target)
        is_clear = math.isfinite(other_cost) and estimate < _CLEAR_RATIO * other_cost
        return is_clear or 8 * len(self.values.special_values) < _CHEAP_SHARE * estimate

    def estimate(self, target: ChunkTarget) -> float:
        """Estimate the cost in bits; infinite where nothing tells it."""
        if self.constant is not None:
            return self.constant.cost(target)
        predicted = self.values.lattice_cost(target)
        if self.transformed is None:
            return predicted
        if isinstance(self.transformed, DearChunk):
            transformed = USUAL_SHARE * self.transformed.cost
        else:
            transformed = 8.0 * len(self.transformed.body)
        return min(predicted, 8.0 * len(self.values.special_values) + transformed)


def find_promising(costs: list[float], limits: tuple[float, float]) -> list[bool]:
    """Tell of two ways, by their estimated costs and limits of their ratio, which may be the cheaper one."""
    if not all(map(math.isfinite, costs)):
        return [True, True]
    apart, plain = costs
    return [apart <= limits[1] * plain, apart >= limits[0] * plain]
