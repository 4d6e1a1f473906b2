import numpy as np

from nvc_jax.lattice.geometry import N_LEVEL_GROUPS, N_LEVELS, N_PASSES, array_shape, level_group
from nvc_jax.lattice.items import collect_items
from nvc_jax.lattice.tables import FIRST_FLAG_CONTEXT

LATTICE = (32, 64, 32)


def outputs() -> list[tuple[np.ndarray, np.ndarray]]:
    groups = [level_group(level) for level in range(N_LEVELS)]
    shapes = [(groups.count(g), N_PASSES, *array_shape(LATTICE, g)) for g in range(N_LEVEL_GROUPS)]
    return [(np.zeros(shape, np.int32), np.zeros(shape, np.int16)) for shape in shapes]


def test_only_flags_are_coded_where_all_codes_are_0() -> None:
    items = collect_items(outputs(), (32, 40, 5), LATTICE)
    cells = [1, 1, 2, 2 * 3, 4 * 5]
    assert items.counts.tolist() == [n for cell in cells for n in [cell] + 7 * [0]]
    assert not items.values.any()
    n_items = sum(items.counts.tolist())
    assert (items.contexts[:n_items] >= FIRST_FLAG_CONTEXT).all()


def test_points_of_a_cell_with_a_code_are_coded() -> None:
    groups = outputs()
    groups[0][0][0, 7, 0, 4, 0] = 5  # level 0, phase 1 1 1, the cell after the first along y
    items = collect_items(groups, (32, 64, 5), LATTICE)
    fine = items.counts[-N_PASSES:].tolist()
    even, odd = 4 * 4 * 3, 4 * 4 * 2
    assert fine == [4 * 8, even, even, odd, even, odd, odd, odd]
    assert items.values.sum() == 1 + 5
    n_items = sum(items.counts.tolist())
    assert (items.contexts[n_items - sum(fine[1:]) : n_items] == 0).all()
