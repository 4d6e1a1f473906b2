import numpy as np

from nvc_jax.spectral.training.clustering import cluster_blocks, integer_features, merge_distributions


def test_blocks_of_like_energy_share_a_class_in_the_order_of_energy() -> None:
    rng = np.random.default_rng(0)
    scale = np.repeat([0.1, 3.0, 40.0], 50)
    integers = np.rint(rng.laplace(0, 1, (150, 32)) * scale[:, None]).astype(np.int32)
    np.testing.assert_array_equal(cluster_blocks(integers, 3), np.repeat([0, 1, 2], 50))


def test_like_distributions_share_a_table() -> None:
    rng = np.random.default_rng(1)
    integers = np.rint(rng.laplace(0, 1, (500, 8)) * np.array([0.2, 0.2, 5, 5, 0.2, 5, 0.2, 5]))
    nonzero, magnitude = (x.sum(axis=0) for x in integer_features(integers))
    tables, p_nonzero, decay = merge_distributions(np.full(8, 500.0), nonzero, magnitude, 2)
    np.testing.assert_array_equal(tables, [0, 0, 1, 1, 0, 1, 0, 1])
    assert p_nonzero[0] < p_nonzero[1]
    assert decay[0] < decay[1]
