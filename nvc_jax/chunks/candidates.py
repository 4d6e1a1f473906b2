"""Candidates: ways of coding a chunk, and the choice of the cheapest one."""

from collections.abc import Iterable
from typing import NamedTuple

from nvc_jax.chunks.payload import Payload
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.errors import error_unit

_BITS_PER_ERROR = 6.0
"""Price in bits of a squared error of one squared step: at this slope of rate and error a uniform quantiser
works best with that step."""


def price_of_error(squared_error: float, target: ChunkTarget) -> float:
    """Price in bits of a sum of squared errors, in squared units of ``squared_unit``; 0 under a bound."""
    if target.max_error is not None or not target.step:
        return 0.0
    step = target.step / squared_unit(target)
    return _BITS_PER_ERROR * (squared_error / step) / step


def squared_unit(target: ChunkTarget) -> float:
    """Unit, in the volume's, of the errors that are squared under a target."""
    return error_unit(target.step or 0.0)


class Candidate(NamedTuple):
    """One way of coding a chunk.

    Attributes:
        payload: the coded chunk.
        squared_error: sum over the valid voxels, in squared units of ``squared_unit``; 0 under a bound.
    """

    payload: Payload
    squared_error: float

    def keeps_bound(self, target: ChunkTarget) -> bool:
        """Check that the decoded values lie within a target's bound."""
        return target.max_error is None or self.payload.max_error <= target.max_error

    def cost(self, target: ChunkTarget) -> float:
        """Bits of the payload; without a bound squared errors are added at their price."""
        bits = 8.0 * self.payload.section_bytes
        return bits + price_of_error(self.squared_error, target)


def cheapest(candidates: Iterable[Candidate], target: ChunkTarget) -> Candidate:
    """Return the candidate of the lowest cost."""
    return min(candidates, key=lambda candidate: candidate.cost(target))
