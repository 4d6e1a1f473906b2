import numpy as np
import pytest

from nvc_jax.lattice.geometry import KNOWN_GROUPS, PHASES
from nvc_jax.lattice.samples import ROWS, SUM_BITS, draw_samples

SHAPE = (48, 64, 40)
Z, Y, X = np.indices(SHAPE)


def inner(margin: int) -> np.ndarray:
    """Mark the points that are so far from the ends."""
    inside = np.zeros(SHAPE, bool)
    inside[margin:-margin, margin:-margin, margin:-margin] = True
    return inside


def test_means_are_those_of_the_groups_of_neighbours() -> None:
    # Where a volume is a ramp, the mean of neighbours on either side is the value between them.
    ramp = (Z + 100 * Y + 10000 * X).astype(np.int32)
    samples = draw_samples(ramp, inner(12), SHAPE, 0)
    assert (samples.counts[:14] > 0).all()
    for row, (level, number) in enumerate(ROWS):
        targets, sums = samples.of_row(row)
        np.testing.assert_array_equal(sums, np.repeat(targets[:, None] << SUM_BITS, sums.shape[1], 1))
        assert (targets // 100 % 100 // (1 << level) % 2 == PHASES[number][1]).all()


def test_neighbours_beyond_the_volume_are_mirrored() -> None:
    values = (np.abs(Z - 3)).astype(np.int32)
    targets, sums = draw_samples(values, np.ones(SHAPE, bool), SHAPE, 0).of_row(0)
    # Behind the last point, 44 at index 47, comes the one before it, 43.
    assert (targets == 44).any()
    np.testing.assert_array_equal(sums[targets == 44, 0], 43 << SUM_BITS)


def test_only_points_that_count_are_drawn() -> None:
    counted = X < 16
    samples = draw_samples(np.where(counted, 7, 99).astype(np.int32), counted, SHAPE, 0)
    for row in range(len(ROWS)):
        targets, _ = samples.of_row(row)
        assert len(targets) > 0
        assert (targets == 7).all()


@pytest.mark.parametrize("fraction_bits", [1, 4, 6])
def test_noise_is_that_of_decoded_neighbours(fraction_bits: int) -> None:
    steps = ((X % 4 < 2) * 100 + (Y % 4 < 2) * 20 + (Z % 4 < 2) * 5) << fraction_bits
    exact = draw_samples(steps.astype(np.int32), np.ones(SHAPE, bool), SHAPE, 0)
    noisy = draw_samples(steps.astype(np.int32), np.ones(SHAPE, bool), SHAPE, fraction_bits)
    for row, (_, number) in enumerate(ROWS[: len(PHASES)]):
        difference = noisy.of_row(row)[1] - exact.of_row(row)[1]
        in_steps = difference / (1 << fraction_bits + SUM_BITS)
        sizes = np.array([len(group.neighbours) for group in KNOWN_GROUPS[number]])
        unit = 1 / (1 << fraction_bits + SUM_BITS)  # to which the noise is rounded
        np.testing.assert_allclose(in_steps.std(axis=0), 1 / np.sqrt(12 * sizes), rtol=0.1, atol=2 * unit)
        assert np.abs(in_steps.mean(axis=0)).max() < 0.05 + unit


def test_plateaus_are_exact() -> None:
    plateau = np.full(SHAPE, 1000, np.int32)
    samples = draw_samples(plateau, np.ones(SHAPE, bool), SHAPE, 4)
    for row in range(len(ROWS)):
        assert (samples.of_row(row)[1] == 1000 << SUM_BITS).all()


def test_samples_are_the_same_every_time() -> None:
    noise = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int32)
    first, second = (draw_samples(noise, np.ones(SHAPE, bool), SHAPE, 4) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
