"""Coding of a chunk by prediction from neighbours: values or ranks on a lattice, or uniformly quantised."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks import bodies, lattice_body
from nvc_jax.chunks.candidates import price_of_error, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.likely_cost import complete_trial, correct_estimate, most_of_cost
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.rank_body import RankedValues, encode_ranks, rank_values, typical_gap
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.estimate import Estimate
from nvc_jax.lattice.plan import Plan, plan_stream
from nvc_jax.lattice.trial import try_coarse_levels
from nvc_jax.lattice.values import FixedValues

_ERROR_PER_STEP = 0.37
"""Largest error of a lattice, in steps of the transform, where there is no bound: its slope of bits against
error is then that of the transform."""
_LEAST_GAP = 1.8
"""Typical distance of neighbouring values, in units of the largest error, from which on a chunk is coded by
ranks in place of values: on 90 volumes these then take 1 to 65 % fewer bits, and more bits below it."""
_CERTAIN_GAP = 4.4
"""The same distance from which on the transform is not tried: there it took at least 20 % more bits than
ranks."""
_THINNING = 2
"""Binary logarithm of the factor by which a rough estimate has fewer samples."""
_ROUGH_SHARE = 0.98
"""Share of the cost by a rough plan that a better one may come to and be of use. With 0.95, no test volume
took other bytes at four steps, nor those that were tried under three bounds."""
_LEAST_FOR_TRIAL = 1 << 15
"""Voxels of a chunk from which on coding it in vain takes longer than a trial."""
_TRIED_COSTS = (0.03, 2.0)
"""Likely costs of a value in bits between which a trial tells more than all samples do."""


class CodedPrediction(NamedTuple):
    """A body by prediction.

    Attributes:
        kind: of the body.
        body: its bytes.
        decoded: the values that it decodes to, if they are known.
        max_error: largest error of the valid ones, if it is known.
    """

    kind: PayloadKind
    body: bytes
    decoded: np.ndarray | None
    max_error: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """A chunk that may be coded by prediction.

    Attributes:
        chunk: the values.
        padded_shape: (z, y, x) of a whole chunk.
        fixed: values on a lattice, or their ranks; None where it has none.
        target: bound and step.
        max_error: largest error that values may have.
        is_certain: the transform need not be tried.
    """

    chunk: ChunkValues
    padded_shape: Shape3
    fixed: FixedValues | RankedValues | None
    target: ChunkTarget
    max_error: float
    is_certain: bool = False

    @cached_property
    def plan(self) -> Plan | None:
        """Plan of the lattice."""
        return None if self.fixed is None else plan_stream(self.fixed.volume)

    @cached_property
    def _rough_plan(self) -> Plan | None:
        """Plan by a quarter of the samples."""
        return None if self.fixed is None else plan_stream(self.fixed.volume, _THINNING)

    @cached_property
    def cost(self) -> float:
        """Likely cost of the lattice in bits; 0 without one."""
        return self._cost(self.plan)

    @cached_property
    def rough_cost(self) -> float:
        """Cost by fewer samples."""
        return self._cost(self._rough_plan)

    @cached_property
    def is_tried(self) -> bool:
        """Tell whether a trial tells more of the cost than all samples do."""
        # Under a bound, lattices that are worth a try take many bits, which are estimated well.
        return (
            isinstance(self.fixed, FixedValues)
            and self.target.max_error is None
            and self.chunk.values.size >= _LEAST_FOR_TRIAL
            and _TRIED_COSTS[0] <= self.rough_cost / max(self.chunk.n_valid, 1) <= _TRIED_COSTS[1]
        )

    @cached_property
    def tried_cost(self) -> float:
        """Cost by a trial of the coarse levels; of values on a lattice."""
        fixed, plan = self.fixed, self._rough_plan
        assert isinstance(fixed, FixedValues)
        assert plan is not None
        trial = try_coarse_levels(fixed, plan.weights, self.padded_shape)
        estimate, has_gaps = fixed.estimate(plan.counts), self.chunk.has_gaps
        return self._priced(
            complete_trial(trial, estimate, plan.counts, self.chunk.n_valid, fixed.spacing, has_gaps=has_gaps)
        )

    def _cost(self, plan: Plan | None) -> float:
        """Cost that is likely by the samples of a plan."""
        if self.fixed is None or plan is None:
            return 0.0
        estimate = self.fixed.estimate(plan.counts)
        return self._priced(
            correct_estimate(estimate, plan.counts, self.chunk.n_valid, has_gaps=self.chunk.has_gaps)
        )

    def _priced(self, estimate: Estimate) -> float:
        """Bits, and errors at their price."""
        unit = squared_unit(self.target)
        return estimate.bits + price_of_error(estimate.squared_error / unit / unit, self.target)

    def may_cost_less_than(self, cost: float, share: float = 1.0, tried_share: float = 1.0) -> bool:
        """Tell whether coding by prediction is worth a try, with something else at such a cost.

        Args:
            cost: of the other way; infinite if there is none.
            share: of its likely cost that a lattice is expected to take.
            tried_share: of its cost by a trial that it may take.
        """
        if math.isinf(cost):
            return True
        likely = share * self.rough_cost
        if not self.is_tried:
            return _ROUGH_SHARE * likely <= cost and share * self.cost <= cost
        if likely > cost:
            return False
        most = most_of_cost(self.rough_cost / max(self.chunk.n_valid, 1))
        return most * likely <= cost or tried_share * self.tried_cost <= cost

    @cached_property
    def coded(self) -> CodedPrediction | None:
        """The chunk, coded by prediction; None where there is no body."""
        fixed, plan = self.fixed, self.plan
        if isinstance(fixed, RankedValues):
            return CodedPrediction(PayloadKind.RANKS, encode_ranks(fixed, plan), self.chunk.values, 0.0)
        if fixed is not None and plan is not None:
            lattice = lattice_body.encode_lattice(fixed, plan)
            if lattice is not None:
                return CodedPrediction(PayloadKind.LATTICE, *lattice)
        uniform = bodies.encode_uniform(self.chunk, self.max_error, self.padded_shape)
        return None if uniform is None else CodedPrediction(PayloadKind.UNIFORM, uniform, None)


def prepare_prediction(chunk: ChunkValues, target: ChunkTarget, padded_shape: Shape3) -> Prediction | None:
    """Prepare to code a chunk, some values of which are valid; None for floats that stay exact."""
    max_error = target.max_error
    if max_error is None:
        max_error = _ERROR_PER_STEP * (target.step or 0.0)
    dtype = chunk.values.dtype
    if max_error == 0 and is_float(dtype):
        return None
    # Without a bound, ranks would take the PSNR beyond the one that is wanted.
    if target.max_error and (is_float(dtype) or is_long_integer(dtype)):
        ranked = rank_values(chunk, padded_shape, _LEAST_GAP * max_error)
        if ranked is not None:
            is_certain = typical_gap(ranked.table, dtype) >= _CERTAIN_GAP * max_error
            return Prediction(chunk, padded_shape, ranked, target, max_error, is_certain)
    fixed = lattice_body.fix_chunk(chunk, max_error, padded_shape)
    return Prediction(chunk, padded_shape, fixed, target, max_error)
