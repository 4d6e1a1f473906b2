import numpy as np

from nvc_jax.lattice import weights
from nvc_jax.lattice.geometry import KNOWN_GROUPS, N_GROUPS, PHASES


def test_default_weights_are_of_known_groups() -> None:
    rows = weights.default_weights()
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
