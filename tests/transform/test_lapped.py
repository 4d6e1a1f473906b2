import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.transform import block_modes, lapped, lapped_filter
from nvc_jax.transform.dct import dct_matrix
from nvc_jax.transform.plan import TransformPlan
from nvc_jax.transform.planar_blocks import BLOCK_SIZE, N_COEFFICIENTS

FILTER_INDICES = range(len(lapped_filter.FILTERS))
forward = jax.jit(lapped.forward, static_argnames="blocks_per_slab")
inverse = jax.jit(lapped.inverse, static_argnames="blocks_per_slab")


def volume(shape: tuple[int, int, int] = (16, 24, 40)) -> np.ndarray:
    grid = np.meshgrid(*[np.linspace(0, 2, n) for n in shape], indexing="ij")
    smooth = np.sin(grid[0] + 2 * grid[1]) * np.cos(grid[2])
    return (smooth + 0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def plan_for(shape: Shape3, modes: int | np.ndarray) -> TransformPlan:
    grid = grid_shape(shape, BLOCK_SIZE)
    filled = jnp.broadcast_to(jnp.asarray(modes, jnp.int32), block_modes.superblock_grid(grid))
    return block_modes.make_plan(filled, grid, jnp.array(shape, jnp.int32))


def random_modes(shape: Shape3, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, block_modes.N_MODES, block_modes.superblock_grid(grid_shape(shape, BLOCK_SIZE)))


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 24, 40), (8, 8, 48), (32, 16, 16)])
@pytest.mark.parametrize("seed", range(2))
def test_inverse_restores_whatever_the_modes(index: int, shape: Shape3, seed: int) -> None:
    original, plan = volume(shape), plan_for(shape, random_modes(shape, seed))
    coefficients = forward(jnp.asarray(original), plan, jnp.int32(index))
    assert coefficients.shape == (original.size // N_COEFFICIENTS, N_COEFFICIENTS)
    np.testing.assert_allclose(inverse(coefficients, plan, jnp.int32(index)), original, atol=2e-5)


@pytest.mark.parametrize(("layers", "layers_per_slab"), [(3, 2), (7, 4), (8, 2)])
def test_slabs_change_nothing(layers: int, layers_per_slab: int) -> None:
    shape, blocks_per_layer = (8 * layers, 16, 24), 6
    plan, index = plan_for(shape, random_modes(shape, layers)), jnp.int32(layers % 4)
    original = jnp.asarray(volume(shape))
    at_once = forward(original, plan, index)
    blocks_per_slab = layers_per_slab * blocks_per_layer
    in_slabs = forward(original, plan, index, blocks_per_slab=blocks_per_slab)
    back = inverse(at_once, plan, index, blocks_per_slab=blocks_per_slab)
    np.testing.assert_allclose(in_slabs, at_once, atol=1e-5)
    np.testing.assert_allclose(back, original, atol=2e-5)


def test_coefficients_are_mapped_slab_by_slab() -> None:
    shape = (40, 16, 24)
    plan, index = plan_for(shape, random_modes(shape, 0)), jnp.int32(1)
    original, n_blocks = jnp.asarray(volume(shape)), []

    def energy(coefficients: jax.Array) -> jax.Array:
        n_blocks.append(coefficients.shape[-1])
        return jnp.sum(coefficients**2, axis=(0, 1, 2))

    energies = lapped.map_coefficients(energy, original, plan, index, blocks_per_slab=12)
    assert set(n_blocks) == {12}
    expected = jnp.sum(forward(original, plan, index) ** 2, axis=1)
    np.testing.assert_allclose(energies, expected, rtol=1e-4)


def test_one_dimension_matches_the_definition() -> None:
    """A volume that varies along x alone: filter each border, then take DCTs."""
    line = volume((8, 8, 32))[0, 0]
    plan = plan_for((8, 8, 32), block_modes.LAPPED)
    for index, name in enumerate(lapped_filter.FILTERS):
        matrix = lapped_filter.border_matrix(lapped_filter.filter_rotation(name))
        # Only the filter's own axis has borders that are crossed: the first block has none before it.
        norms = lapped_filter.filter_tables().norms[index, [1, 3, 3, 2]]
        expected = line.copy()
        for border in (8, 16, 24):
            expected[border - 4 : border + 4] = matrix @ line[border - 4 : border + 4]
        expected = (expected.reshape(4, 8) @ dct_matrix(8).T) * norms * 8
        coefficients = forward(jnp.broadcast_to(line, (8, 8, 32)), plan, jnp.int32(index))
        np.testing.assert_allclose(coefficients[:, :8], expected, atol=1e-4)


def test_a_large_block_is_one_dct_of_16() -> None:
    original = volume((16, 16, 16))
    plan = plan_for((16, 16, 16), block_modes.LARGE)
    coefficients = np.asarray(forward(jnp.asarray(original), plan, jnp.int32(0)))
    matrix = dct_matrix(16)
    expected = np.einsum("zyx,az,by,cx->abc", original, matrix, matrix, matrix)
    # The block at (z, y, x) of the superblock has the frequencies 2·k + (z, y, x).
    expected = expected.reshape(8, 2, 8, 2, 8, 2).transpose(1, 3, 5, 0, 2, 4).reshape(8, N_COEFFICIENTS)
    np.testing.assert_allclose(coefficients[:, 1:], expected[:, 1:], atol=1e-4)
    # Its lowest frequencies are mixed to about the means of its eighths, at no loss of energy.
    assert float((coefficients[:, 0] ** 2).sum()) == pytest.approx((expected[:, 0] ** 2).sum(), rel=1e-4)
    means = original.reshape(2, 8, 2, 8, 2, 8).mean(axis=(1, 3, 5)).reshape(-1) * 8**1.5
    assert np.abs(coefficients[:, 0] - means).max() < 0.2 * np.abs(means).max()


@pytest.mark.parametrize("mode", range(block_modes.N_MODES))
def test_the_plain_and_the_orthonormal_keep_energy(mode: int) -> None:
    original = volume((16, 32, 48))
    for name in ("none", "orthonormal"):
        index = jnp.int32(lapped_filter.FILTERS.index(name))
        coefficients = forward(jnp.asarray(original), plan_for(original.shape, mode), index)
        assert float((coefficients**2).sum()) == pytest.approx(float((original**2).sum()), rel=1e-4)


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("mode", range(block_modes.N_MODES))
def test_errors_of_coefficients_add_up_in_the_volume(index: int, mode: int) -> None:
    noise = np.random.default_rng(1).standard_normal((8 * 8 * 8, N_COEFFICIENTS)).astype(np.float32)
    plan = plan_for((64, 64, 64), mode)
    decoded = np.asarray(inverse(jnp.asarray(noise), plan, jnp.int32(index)))
    assert decoded.std() == pytest.approx(1, rel=0.05)


def test_constants_have_one_coefficient_a_block_and_no_borders() -> None:
    for seed, index in enumerate(FILTER_INDICES):
        plan = plan_for((16, 32, 32), random_modes((16, 32, 32), seed))
        coefficients = np.asarray(forward(jnp.ones((16, 32, 32)), plan, jnp.int32(index)))
        np.testing.assert_allclose(coefficients[:, 1:], 0, atol=1e-4)


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("mode", range(block_modes.N_MODES))
def test_dc_norms_are_the_ratios_of_dc_to_means(index: int, mode: int) -> None:
    plan = plan_for((32, 32, 32), mode)
    dc = forward(jnp.ones((32, 32, 32)), plan, jnp.int32(index))[:, 0]
    norms = np.asarray(lapped.dc_norms(plan, jnp.int32(index)))
    np.testing.assert_allclose(dc.reshape(4, 4, 4), norms * np.sqrt(N_COEFFICIENTS), rtol=0.1)
