import numpy as np

from nvc_jax.lattice import weights
from nvc_jax.lattice.geometry import KNOWN_GROUPS, N_GROUPS, N_LEVEL_GROUPS, PHASES


def fit(fixed: np.ndarray, fraction_bits: int) -> list[np.ndarray | None]:
    return weights.fit_weights(fixed, fraction_bits, np.ones(fixed.shape, bool))


def test_weights_sum_to_one_and_are_of_known_groups() -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (40, 40, 40)).astype(np.int32)
    fitted = [weights.default_weights(), *(own for own in fit(noise, 4) if own is not None)]
    assert len(fitted) >= 3
    for rows in fitted:
        assert (rows.sum(1) == weights.ONE).all()
        assert (np.abs(rows).sum(1) <= weights.MAX_TOTAL).all()
        for row, groups in zip(rows, KNOWN_GROUPS, strict=True):
            assert not row[sorted(set(range(N_GROUPS)) - {group.number for group in groups})].any()


def test_weights_come_back_from_their_bytes() -> None:
    rng, rows = np.random.default_rng(0), np.zeros((len(PHASES), N_GROUPS), np.int32)
    for row, groups in zip(rows, KNOWN_GROUPS, strict=True):
        row[[group.number for group in groups]] = rng.integers(-128, 127, len(groups))
        row[groups[0].number] += weights.ONE - row.sum()
    stored = weights.pack_weights(rows)
    assert len(stored) == weights.BYTES_PER_LEVEL_GROUP
    np.testing.assert_array_equal(weights.unpack_weights(stored), rows)


def test_weights_are_fitted_only_where_that_saves_bytes() -> None:
    assert fit(np.full((40, 40, 40), 7, np.int32), 4) == [None] * N_LEVEL_GROUPS
    assert fit(np.arange(24, dtype=np.int32).reshape(2, 3, 4), 0) == [None] * N_LEVEL_GROUPS


def test_volumes_that_vary_along_two_axes_are_predicted_along_the_third() -> None:
    plane = np.random.default_rng(0).integers(0, 1000, (1, 40, 40)).astype(np.int32)
    fine = fit(np.repeat(plane, 40, axis=0), 0)[0]
    assert fine is not None
    assert fine[-1, 0] + fine[-1, 3] > 0.9 * weights.ONE
