"""Steps of the chunks of a volume that reaches a PSNR: each chunk has one of two steps, 0.5 dB apart.

The PSNR is that of all chunks together. A search that changed the step of all chunks would encode all of them
in every round. With two steps next to each other on a grid, it moves chunks from one to the other, and
encodes these alone; of the last one the step may lie between them. At the same PSNR that takes 0.05 % more
bits than one step for all (the mean of four volumes at three PSNRs; 0.4 % with steps 1 dB apart).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.core.chunk_grid import Region, first_voxel
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.systematic_sampling import scattered_order

_STEPS_PER_DECADE = 40
"""Steps of the grid for each factor of 10: neighbours are 0.5 dB apart."""
_PLACE_DIGITS = 3
"""Decimal digits of a place on the grid: coarser than what is lost where a step is stated."""


_LEAST_CHUNKS, _LEAST_VOXELS = 4, 1 << 15
"""Chunks of a volume, and voxels of a chunk, from which on steps are spread: of small chunks a single one may
change the error of the volume by much where it changes its way of coding, and to encode all is quick."""


class OwnTarget(NamedTuple):
    """Target of one chunk.

    Attributes:
        own: with the chunk's own step; not spread.
        lesson: under which the encoder learns about the volume: that of the step in the middle.
    """

    own: ChunkTarget
    lesson: ChunkTarget


class SpreadSteps:
    """Steps of chunks by the target of the volume.

    Args:
        regions: of all chunks of the volume.
        chunk_voxels: number of voxels of a whole chunk.
        is_pilot: tells of a region whether the encoder learns from its chunk. Pilots are the last ones whose
            step differs from that of the lesson.
        width: of the volume's range; above 0.
        in_units: turns a step relative to the range to the volume's units, as it is stated.

    Attributes:
        are_spread: whether the volume is large enough. In others all chunks have the volume's step.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        chunk_voxels: int,
        is_pilot: Callable[[Region], bool],
        width: float,
        in_units: Callable[[float], float],
    ) -> None:
        self.are_spread = len(regions) >= _LEAST_CHUNKS and chunk_voxels >= _LEAST_VOXELS
        ordered = [regions[i] for i in scattered_order(len(regions))]
        pilots = [one for one in ordered if is_pilot(one)]
        others = [one for one in ordered if not is_pilot(one)]
        half = len(others) // 2
        self._order = [*others[:half], *pilots, *others[half:]]
        self._ranks = {first_voxel(one): rank for rank, one in enumerate(self._order)}
        self._width, self._in_units = width, in_units

    def middle(self) -> list[Region]:
        """List the quarter of the chunks whose steps change last as the step leaves that of the grid."""
        n = len(self._order)
        cut = 3 * n // 8
        return self._order[cut : n - cut]

    def nearest(self, step: float) -> float:
        """Find the step of the grid next to one, both relative to the range."""
        return self._on_grid(round(_STEPS_PER_DECADE * math.log10(step)))

    def target_of(self, region: Region, target: ChunkTarget) -> OwnTarget:
        """Find the target of one chunk.

        Args:
            region: of the chunk.
            target: of the volume, with a step in its units.
        """
        if not (target.is_spread and self.are_spread) or target.step is None:
            of_all = dataclasses.replace(target, is_spread=False)
            return OwnTarget(of_all, of_all)
        relative = max(target.step / self._width, float(np.finfo(np.float64).tiny))
        place = round(_STEPS_PER_DECADE * math.log10(relative), _PLACE_DIGITS)
        below = math.floor(place)
        moved = len(self._order) * round(place - below, _PLACE_DIGITS) - self._ranks[first_voxel(region)]
        own = self._on_grid(below + min(max(moved, 0.0), 1.0))
        lesson = self._on_grid(round(place))
        return OwnTarget(*(ChunkTarget(None, self._in_units(step)) for step in (own, lesson)))

    @staticmethod
    def _on_grid(place: float) -> float:
        """Step at a place of the grid, relative to the range."""
        return 10.0 ** (place / _STEPS_PER_DECADE)
