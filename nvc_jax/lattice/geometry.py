"""Geometry of the lattice: levels, passes, and the neighbours from which a point is predicted.

*Levels.* The lattice is the volume, extended at its ends to multiples of 32 voxels. Level l consists of the
points whose coordinates are multiples of 2**l. The points of level 5 are the *anchors*. From them on, each
level is coded given the one above it, from level 4 to level 0.

*Phases.* The points of a level fall into eight phases by the parities of their indices along z, y and x. The
phase with even indices is the level above. The other seven are coded one after the other, in the order of
PHASES: first the points between two known ones along one axis, then those in the middle of squares, then
those in the middle of cubes. A phase is an array of its own, so the neighbours of all its points are shifted
arrays.
"""

import itertools
from typing import NamedTuple

import numpy as np

from nvc_jax.core.shapes import Shape3

N_LEVELS = 5
"""Levels that are coded, from N_LEVELS − 1 to 0."""
ANCHOR_STRIDE = 1 << N_LEVELS
"""Distance of neighbouring anchors, in voxels."""
N_LEVEL_GROUPS = 3
"""Groups of levels that share prediction weights and, as a rule, tables: level 0, level 1, and the rest."""
PHASES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
"""Parities of the phases along z, y and x, in the order of coding."""
PHASE_CLASSES = (0, 0, 0, 1, 1, 1, 2)
"""Number of odd parities of each phase, less one."""
N_PASSES = 1 + len(PHASES)
"""Passes of a level: the cells' flags, then the phases."""
CELL = 4
"""Side of a cell in points of a phase: 8 points of the level."""
HALO = 2
"""Points by which the array of a phase is extended at either end."""


class Neighbour(NamedTuple):
    """Neighbour of the points of a phase.

    Attributes:
        phase: index of the neighbour's phase, 4 · z + 2 · y + x by its parities.
        shift: difference of indices within the phases, along z, y and x.
    """

    phase: int
    shift: tuple[int, int, int]


class Group(NamedTuple):
    """Neighbours at the same distance along the same axes, which share a prediction weight.

    Attributes:
        number: of the group: 0 … 2 at distance 1 along z, y, x; 3 … 5 at distance 3 along z, y, x; 6 … 8 the
            four diagonal ones at right angles to z, y, x; 9 the eight along the diagonals of the cube.
        neighbours: the neighbours, two, four or eight.
    """

    number: int
    neighbours: tuple[Neighbour, ...]


N_GROUPS = 10
"""Number of groups of neighbours."""
FAR_GROUPS = (3, 4, 5)
"""Groups at distance 3; they do not enter the context."""


def _offsets() -> tuple[tuple[tuple[int, ...], ...], ...]:
    """List the offsets of the neighbours of each group."""
    box = list(itertools.product(range(-3, 4), repeat=3))
    along = [[o for o in box if o[axis] != 0 and o[axis - 1] == o[axis - 2] == 0] for axis in range(3)]
    near = [tuple(o for o in offsets if abs(sum(o)) == 1) for offsets in along]
    far = [tuple(o for o in offsets if abs(sum(o)) == 3) for offsets in along]
    corners = tuple(itertools.product((-1, 1), repeat=3))
    planes = [
        tuple(
            o
            for o in itertools.product((-1, 0, 1), repeat=3)
            if o[axis] == 0 and 0 not in (o[axis - 1], o[axis - 2])
        )
        for axis in range(3)
    ]
    return (*near, *far, *planes, corners)


GROUP_OFFSETS = _offsets()
"""Offsets along z, y and x of the neighbours of each group, in the level's distances."""


def _groups_of(phase: tuple[int, int, int], known: set[tuple[int, ...]]) -> tuple[Group, ...]:
    """List the groups of a phase's neighbours that lie in known phases."""
    groups = []
    for index, offsets in enumerate(GROUP_OFFSETS):
        positions = np.add(phase, offsets)
        parity = positions[0] % 2
        if tuple(parity.tolist()) in known:
            number = int(parity @ (4, 2, 1))
            shifts = ((positions - parity) // 2).tolist()
            groups.append(Group(index, tuple(Neighbour(number, tuple(shift)) for shift in shifts)))
    return tuple(groups)


KNOWN_GROUPS = tuple(_groups_of(phase, {(0, 0, 0), *PHASES[:number]}) for number, phase in enumerate(PHASES))
"""Groups of neighbours that are known when a phase is coded, for each of PHASES."""


def level_group(level: int) -> int:
    """Index of a level's group."""
    return min(level, N_LEVEL_GROUPS - 1)


def lattice_shape(padded_shape: Shape3) -> Shape3:
    """Shape of the lattice of a padded volume: multiples of ANCHOR_STRIDE."""
    z, y, x = (-(-side // ANCHOR_STRIDE) * ANCHOR_STRIDE for side in padded_shape)
    return z, y, x


def phase_shape(lattice: Shape3, level: int) -> Shape3:
    """Shape of each phase of a level."""
    z, y, x = (side >> (level + 1) for side in lattice)
    return z, y, x


def valid_sides(shape: Shape3, level: int, parity: tuple[int, int, int]) -> Shape3:
    """Points of a phase along each axis that lie in a volume."""
    z, y, x = (
        max(0, -(-(side - (p << level)) // (2 << level))) for side, p in zip(shape, parity, strict=True)
    )
    return z, y, x


def array_shape(lattice: Shape3, group: int) -> Shape3:
    """Shape of the arrays that hold a phase of any level of a group: that of the group's finest level."""
    return phase_shape(lattice, group)
