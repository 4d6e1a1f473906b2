import numpy as np

from nvc_jax.lattice.geometry import KNOWN_GROUPS, N_GROUPS
from nvc_jax.lattice.samples import ROWS, draw_samples
from nvc_jax.lattice.weight_fit import fit_rows
from nvc_jax.lattice.weights import MAX_TOTAL, ONE

SHAPE = (40, 40, 40)


def fit(fixed: np.ndarray, fraction_bits: int) -> np.ndarray:
    samples = draw_samples(fixed.astype(np.int32), np.ones(fixed.shape, bool), SHAPE, fraction_bits)
    return fit_rows(samples, fraction_bits)


def test_weights_sum_to_one_and_are_of_known_groups() -> None:
    rng = np.random.default_rng(0)
    for fixed in (rng.integers(-1000, 1000, SHAPE), np.full(SHAPE, 7), rng.integers(0, 2, SHAPE) << 19):
        rows = fit(fixed, 4)
        assert (rows.sum(1) == ONE).all()
        assert (np.abs(rows).sum(1) <= MAX_TOTAL).all()
        for row, (_, number) in zip(rows, ROWS, strict=True):
            known = {group.number for group in KNOWN_GROUPS[number]}
            assert not row[sorted(set(range(N_GROUPS)) - known)].any()


def test_volumes_that_vary_along_two_axes_are_predicted_along_the_third() -> None:
    plane = np.random.default_rng(0).integers(0, 1000, (1, *SHAPE[1:]))
    rows = fit(np.repeat(plane, SHAPE[0], axis=0), 0)
    finest = rows[[number for number, (level, _) in enumerate(ROWS) if level == 0]]
    assert finest[-1, 0] + finest[-1, 3] > 0.9 * ONE


def test_weights_follow_what_the_volume_is_like() -> None:
    # Values along x repeat after four points, so the points at distance 1 are on opposite sides of the value.
    _, _, x = np.indices(SHAPE)
    noise = np.random.default_rng(0).integers(0, 100, SHAPE[:2])[:, :, None]
    rows = fit(1000 * noise + np.array([0, 300, 0, -300])[x % 4], 0)
    along_x = rows[ROWS.index((0, 2))]
    assert along_x[2] + along_x[5] > 0.9 * ONE
