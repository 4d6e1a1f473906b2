import jax
import numpy as np
import pytest

from nvc_jax.spectral.training.clustering import cluster_blocks, integer_features, merge_distributions
from nvc_jax.training.mesh import make_mesh


@pytest.mark.parametrize("n_devices", [1, 2])
def test_blocks_of_like_energy_share_a_class_in_the_order_of_energy(n_devices: int) -> None:
    rng = np.random.default_rng(0)
    scale = np.repeat([0.1, 3.0, 40.0], 50)[:149]
    integers = np.rint(rng.laplace(0, 1, (149, 32)) * scale[:, None]).astype(np.int32)
    classes, bits = cluster_blocks(integers, 3, make_mesh(jax.devices()[:n_devices]))
    np.testing.assert_array_equal(classes, np.repeat([0, 1, 2], 50)[:149])
    assert 32 < bits < 32 * 8


def test_like_distributions_share_a_table() -> None:
    rng = np.random.default_rng(1)
    integers = np.rint(rng.laplace(0, 1, (500, 8)) * np.array([0.2, 0.2, 5, 5, 0.2, 5, 0.2, 5]))
    nonzero, magnitude = (x.sum(axis=0) for x in integer_features(integers))
    tables, p_nonzero, decay = merge_distributions(np.full(8, 500.0), nonzero, magnitude, 2)
    np.testing.assert_array_equal(tables, [0, 0, 1, 1, 0, 1, 0, 1])
    assert p_nonzero[0] < p_nonzero[1]
    assert decay[0] < decay[1]
