import numpy as np

from nvc_jax.lattice import geometry


def test_each_phase_is_predicted_from_phases_before_it() -> None:
    for number, (phase, groups) in enumerate(zip(geometry.PHASES, geometry.KNOWN_GROUPS, strict=True)):
        known = {0} | {int(np.dot(p, (4, 2, 1))) for p in geometry.PHASES[:number]}
        for group in groups:
            offsets = geometry.GROUP_OFFSETS[group.number]
            assert len(group.neighbours) == len(offsets) in (2, 4, 8)
            for neighbour, offset in zip(group.neighbours, offsets, strict=True):
                parities = (neighbour.phase >> 2, neighbour.phase >> 1 & 1, neighbour.phase & 1)
                assert neighbour.phase in known
                assert tuple(2 * np.array(neighbour.shift) + parities - phase) == offset
                assert max(map(abs, neighbour.shift)) <= geometry.HALO
    assert [len(groups) for groups in geometry.KNOWN_GROUPS] == [2, 3, 4, 6, 7, 8, 10]


def test_the_levels_cover_the_lattice() -> None:
    lattice = geometry.lattice_shape((33, 64, 1))
    assert lattice == (64, 64, 32)
    points = [7 * np.prod(geometry.phase_shape(lattice, level)) for level in range(geometry.N_LEVELS)]
    assert sum(points) + 2 * 2 * 1 == np.prod(lattice)
