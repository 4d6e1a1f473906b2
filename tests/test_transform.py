import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax import transform

FILTER_INDICES = range(len(transform.FILTERS))


def volume(shape: tuple[int, int, int] = (16, 24, 40)) -> np.ndarray:
    grid = np.meshgrid(*[np.linspace(0, 2, n) for n in shape], indexing="ij")
    smooth = np.sin(grid[0] + 2 * grid[1]) * np.cos(grid[2])
    return (smooth + 0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 24, 40), (8, 8, 48)])
def test_inverse_restores(index: int, shape: tuple[int, int, int]) -> None:
    original = volume(shape)
    latents = transform.forward(jnp.asarray(original), jnp.int32(index))
    assert latents.shape == (original.size // 512, 512)
    np.testing.assert_allclose(transform.inverse(latents, shape, jnp.int32(index)), original, atol=2e-5)


def test_one_dimension_matches_the_definition() -> None:
    """A volume that varies along x alone: filter each border, then take DCTs."""
    line = volume((8, 8, 32))[0, 0]
    for index in FILTER_INDICES:
        matrix, _, norms = (table[index] for table in transform._matrices())
        expected = line.copy()
        for border in (8, 16, 24):
            expected[border - 4 : border + 4] = matrix @ line[border - 4 : border + 4]
        expected = (expected.reshape(4, 8) @ transform._dct(8).T) * norms * 8 * norms[0] ** 2
        latents = transform.forward(jnp.broadcast_to(line, (8, 8, 32)), jnp.int32(index))
        np.testing.assert_allclose(latents[:, :8], expected, atol=1e-4)


def test_the_plain_and_the_orthonormal_keep_energy() -> None:
    original = volume()
    for name in ("none", "orthonormal"):
        latents = transform.forward(jnp.asarray(original), jnp.int32(transform.FILTERS.index(name)))
        assert float((latents**2).sum()) == pytest.approx(float((original**2).sum()), rel=1e-4)


@pytest.mark.parametrize("index", FILTER_INDICES)
def test_errors_of_latents_add_up_in_the_volume(index: int) -> None:
    noise = np.random.default_rng(1).standard_normal((8 * 8 * 8, 512)).astype(np.float32)
    decoded = np.asarray(transform.inverse(jnp.asarray(noise), (64, 64, 64), jnp.int32(index)))
    assert decoded.std() == pytest.approx(1, rel=0.05)


def test_constants_have_one_latent_a_block_and_no_borders() -> None:
    for index in FILTER_INDICES:
        latents = np.asarray(transform.forward(jnp.ones((16, 16, 16)), jnp.int32(index)))
        np.testing.assert_allclose(latents[:, 1:], 0, atol=1e-4)
