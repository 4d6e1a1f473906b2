import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES, boundary_weights, deemphasize, emphasize

BOUNDARIES = [0, 0b1, 0b10, 0b001100, 0b100101, ALL_BOUNDARIES]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("boundaries", BOUNDARIES)
def test_emphasis_has_an_inverse_and_keeps_means(boundaries: int) -> None:
    volume = RNG.normal(size=(8, 16, 24)).astype(np.float32)
    emphasized = np.asarray(emphasize(jnp.asarray(volume), jnp.int32(boundaries)))
    np.testing.assert_allclose(deemphasize(emphasized, jnp.int32(boundaries)), volume, atol=2e-6)
    means = [v.reshape(2, 4, 4, 4, 6, 4).mean(axis=(1, 3, 5)) for v in (volume, emphasized)]
    np.testing.assert_allclose(*means, atol=1e-6)
    assert np.array_equal(emphasized, volume) == (boundaries == 0)


def test_only_voxels_next_to_a_boundary_change() -> None:
    volume = RNG.normal(size=(16, 16, 16)).astype(np.float32)
    changed = np.asarray(emphasize(jnp.asarray(volume), jnp.int32(0b010000))) != volume
    assert changed[:, :, :4].mean() > 0.99
    assert not changed[:, :, 4:].any()
    mirrored = np.asarray(emphasize(jnp.asarray(volume[:, :, ::-1]), jnp.int32(0b100000)))
    again = np.asarray(emphasize(jnp.asarray(volume), jnp.int32(0b010000)))
    np.testing.assert_allclose(mirrored[:, :, ::-1], again, atol=1e-6)


def test_only_blocks_at_the_boundaries_have_weights() -> None:
    grid = (2, 3, 4)
    weights = np.asarray(boundary_weights(grid, jnp.int32(0b100001))).reshape(*grid, 8, 8, 8)
    np.testing.assert_array_equal(weights[1, :, :3], 1)
    along_z, along_x = weights[0, 0, 0, :, 0, 0], weights[1, 0, 3, 0, 0, :]
    np.testing.assert_array_equal(along_z, along_x)
    assert (along_z > 1).all()
    # A constant over the block: the mean of the voxels' weights.
    np.testing.assert_allclose(along_z[0], np.sqrt(12 / 8), rtol=1e-6)
    corner = along_z[:, None, None] * along_x[None, None]
    np.testing.assert_allclose(weights[0, 1, 3], np.broadcast_to(corner, (8, 8, 8)), rtol=1e-6)
