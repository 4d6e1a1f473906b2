import numpy as np
import pytest

from nvc_jax.lattice.geometry import GROUP_OFFSETS, KNOWN_GROUPS, PHASES
from nvc_jax.lattice.samples import draw_phase, reconstruction_noise

SHAPE = (20, 24, 28)
EVERYWHERE = np.ones(SHAPE, bool)


def ramp(weights: tuple[float, float, float]) -> np.ndarray:
    return np.tensordot(weights, np.indices(SHAPE), 1)


@pytest.mark.parametrize("number", range(len(PHASES)))
@pytest.mark.parametrize("level", [0, 1])
def test_means_are_those_of_the_groups_of_neighbours(number: int, level: int) -> None:
    # Where a volume is a ramp, the mean of neighbours on either side is the value between them.
    inside = np.zeros(SHAPE, bool)
    margin = 3 << level
    inside[margin:-margin, margin:-margin, margin:-margin] = True
    sample = draw_phase(
        ramp((1, 100, 10000)), inside, number, level, 500, np.random.default_rng(0), origin=-5.0, step=0.5
    )
    assert len(sample.targets) > 0
    np.testing.assert_array_equal(sample.means, np.repeat(sample.targets[:, None], sample.means.shape[1], 1))
    values = sample.targets / 2 - 5
    assert (values // 100 % 100 // (1 << level) % 2 == PHASES[number][1]).all()


def test_neighbours_beyond_the_volume_are_mirrored() -> None:
    values = np.abs(np.arange(8.0)[:, None, None] - 3) * np.ones((1, 8, 8))
    sample = draw_phase(values, np.ones(values.shape, bool), 0, 0, 400, np.random.default_rng(0))
    first, last = (sample.means[sample.targets == value] for value in (4.0, 2.0))
    # Behind the last point, 4 at index 7, comes the one before it, 3.
    assert (first[:, 0] == 3.0).all()
    assert len(last)


def test_points_with_neighbours_that_do_not_count_are_left_out() -> None:
    values, valid = np.zeros(SHAPE), EVERYWHERE.copy()
    values[:, :, 14:], valid[:, :, 14:] = np.inf, False
    values[3, 3, 3], valid[3, 3, 3] = -np.inf, False
    for number in range(len(PHASES)):
        rng = np.random.default_rng(0)
        sample = draw_phase(values, valid, number, 0, 1000, rng, with_valid_neighbours=True)
        assert not sample.means.any()
        assert not sample.targets.any()
        n_points = np.prod([side // 2 for side in SHAPE])
        assert 0.4 < sample.n_points / n_points < 0.6


def test_errors_of_larger_groups_are_smaller() -> None:
    number = len(PHASES) - 1
    noise = reconstruction_noise(np.random.default_rng(0), 20_000, number, 3.0)
    sizes = np.array([len(GROUP_OFFSETS[group.number]) for group in KNOWN_GROUPS[number]])
    np.testing.assert_allclose(noise.std(axis=0), 3.0 / np.sqrt(12 * sizes), rtol=0.05)
