"""Experience with a volume: what its chunks cost over their estimates.

Estimates tell roughly which way of coding a chunk is the cheaper one: a transform takes 0.5 to 1 times its
estimate, and a lattice 0.8 to 1.3 times. Chunks of one volume are alike, so that both ways are known much
better where a few chunks have been coded in both. All other chunks are then coded in one way, unless both may
cost about the same.
"""

import dataclasses
from typing import NamedTuple

_MARGIN = 0.9
"""Share of what transforms were seen to take that others are expected to take at least. With it, 90 volumes,
one chunk of which was learned from, took at most 0.15 % more bits in the mean than by the cheaper one of both
ways."""


class CostShares(NamedTuple):
    """Costs of a chunk over their estimates.

    Attributes:
        transform: least cost of a transform over ``DearChunk.cost``. A lattice whose likely cost is below it
            is coded first; if its cost is, too, the transform is left out.
        completion: cost of a chunk under a bound, with its correction, over the bits of its transform.
        lattice: cost of a lattice over its likely cost.
        worth: cost that a lattice may have, over that of the transformed chunk, up to which it is tried.
    """

    transform: float
    completion: float
    lattice: float
    worth: float


USUAL_SHARES = CostShares(transform=0.65, completion=1.18, lattice=1.0, worth=1.03)
"""Shares without experience. With them, 90 volumes at three steps and under three bounds took at most 0.1 %
more bits in the mean than by the cheaper one of both ways, and 5 to 7 % more in two cases."""


class SeenChunk(NamedTuple):
    """Costs of a chunk that was coded in both ways, in bits and error.

    Attributes:
        is_apart: whether exact values were apart.
        estimate: of the transform, as of ``DearChunk``.
        stream_bits: that the transform took, without a correction.
        transform: cost of the transform.
        likely: likely cost of the lattice.
        lattice: its cost.
    """

    is_apart: bool
    estimate: float
    stream_bits: float
    transform: float
    likely: float
    lattice: float


CLEARLY_WITHIN, _ALONE_WITHIN = 0.97, 0.85
"""Largest costs of lattices over those of transforms, with several pilots and with one, up to which lattices
suit a volume under a bound. Of 13 volumes at 4 bounds, all 145 chunks for which this was then expected took
fewer bits by a lattice than by the transform."""
_CLEARLY_BEYOND, _ALONE_BEYOND = 1.2, 1.5
"""Least likely costs of lattices over those of transforms, with several pilots and with one, from which on
the transform suits a volume without a bound. Of 34 volumes at five steps, there was no lattice that was worth
it among the 1054 chunks of which this is then expected."""
_ALIKE = 2.0
"""Factor by which the cost of a value may be beyond those of the pilots in a chunk that is like them."""


class Comparison(NamedTuple):
    """A lattice beside the transform, of one chunk.

    Attributes:
        is_apart: whether exact values were apart.
        cost_of_value: under a bound, likely cost of the lattice for each valid value, 0 where it was no use;
            without one, the same of the transform.
        ratio: cost of the lattice over that of the transform, or over the cost that this has at least;
            infinite where a lattice was no use. Without a bound, the likely cost of the lattice, and 0 where
            nothing tells it.
    """

    is_apart: bool
    cost_of_value: float
    ratio: float


@dataclasses.dataclass(frozen=True)
class Experience:
    """Chunks of a volume that were coded in both ways under one target; none to begin with.

    Attributes:
        seen: the chunks.
        learns: whether to add chunks; until that is over, the usual shares are expected.
        compared: these and those that were coded in one way.
    """

    seen: list[SeenChunk] = dataclasses.field(default_factory=list)
    learns: bool = False
    compared: list[Comparison] = dataclasses.field(default_factory=list)

    def costs_for_lattice(self, *, is_apart: bool) -> tuple[float, float] | None:
        """Find the costs of a value, see ``Comparison``, of chunks for which a lattice is clearly cheaper.

        Args:
            is_apart: whether exact values are apart.

        Returns:
            The least and the largest cost; None where no chunks are known to be such.
        """
        compared = self._compared(is_apart=is_apart)
        limit = _ALONE_WITHIN if len(compared) == 1 else CLEARLY_WITHIN
        is_clear = all(one.ratio <= limit for one in compared)
        return _costs_alike(compared) if compared and is_clear else None

    def costs_for_transform(self, *, is_apart: bool) -> tuple[float, float] | None:
        """Find the costs of a value of chunks for which without a bound the transform is clearly cheaper.

        Args:
            is_apart: whether exact values are apart.

        Returns:
            The least and the largest cost; None where no chunks are known to be such.
        """
        compared = self._compared(is_apart=is_apart)
        limit = _ALONE_BEYOND if len(compared) == 1 else _CLEARLY_BEYOND
        is_clear = all(one.ratio >= limit for one in compared)
        return _costs_alike(compared) if compared and is_clear else None

    def _compared(self, *, is_apart: bool) -> list[Comparison]:
        """List the comparisons of chunks to expect others by: none as long as it learns."""
        return [one for one in self.compared if one.is_apart == is_apart and not self.learns]

    def shares(self, *, is_apart: bool) -> CostShares:
        """Expect costs of chunks by the least that was seen; the usual ones where nothing was.

        Args:
            is_apart: whether exact values are apart.
        """
        seen = [one for one in self.seen if one.is_apart == is_apart]
        if self.learns or not seen:
            return USUAL_SHARES
        return CostShares(
            transform=_MARGIN * min(1.0, *(one.transform / one.estimate for one in seen)),
            completion=min(one.transform / one.stream_bits for one in seen),
            lattice=min(one.lattice / one.likely for one in seen),
            worth=1.0,
        )


def _costs_alike(compared: list[Comparison]) -> tuple[float, float]:
    """Find the least and the largest cost of a value of chunks that are like some others."""
    costs = [one.cost_of_value for one in compared]
    return min(costs) / _ALIKE, max(costs) * _ALIKE


NO_EXPERIENCE = Experience()
"""Experience of chunks by themselves."""
