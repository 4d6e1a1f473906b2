import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.transform import block_modes, lapped, lapped_filter
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS, dct_matrix, from_planar, to_planar
from nvc_jax.transform.plan import TransformPlan

FILTER_INDICES = range(len(lapped_filter.FILTERS))
forward, inverse = jax.jit(lapped.forward), jax.jit(lapped.inverse)


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


def test_cells_are_the_voxels_of_blocks() -> None:
    original = volume()
    cells = np.asarray(to_planar(jnp.asarray(original)))
    assert cells.shape == (8, 8, 8, 2 * 3 * 5)
    np.testing.assert_array_equal(cells[1, 2, 3].reshape(2, 3, 5), original[1::8, 2::8, 3::8])
    np.testing.assert_array_equal(from_planar(jnp.asarray(cells), (2, 3, 5)), original)


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 24, 40), (8, 8, 48), (32, 16, 16)])
@pytest.mark.parametrize("seed", range(2))
def test_inverse_restores_whatever_the_modes(index: int, shape: Shape3, seed: int) -> None:
    original, plan = volume(shape), plan_for(shape, random_modes(shape, seed))
    latents = forward(jnp.asarray(original), plan, jnp.int32(index))
    assert latents.shape == (original.size // N_COEFFICIENTS, N_COEFFICIENTS)
    np.testing.assert_allclose(inverse(latents, plan, jnp.int32(index)), original, atol=2e-5)


@pytest.mark.parametrize(("layers", "per_slab"), [(3, 2), (7, 4), (8, 2)])
def test_slabs_change_nothing(layers: int, per_slab: int) -> None:
    shape = (8 * layers, 16, 24)
    plan, index = plan_for(shape, random_modes(shape, layers)), jnp.int32(layers % 4)
    original = jnp.asarray(volume(shape))
    whole = forward(original, plan, index)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_ANALYSED_AT_ONCE", "_SYNTHESIZED_AT_ONCE"):
            patch.setattr(lapped, name, per_slab * 6)
        # Lambdas, for jax.jit to compile them anew.
        sliced = jax.jit(lambda *given: lapped.forward(*given))(original, plan, index)
        back = jax.jit(lambda *given: lapped.inverse(*given))(whole, plan, index)
    np.testing.assert_allclose(sliced, whole, atol=1e-5)
    np.testing.assert_allclose(back, original, atol=2e-5)


def test_one_dimension_matches_the_definition() -> None:
    """A volume that varies along x alone: filter each border, then take DCTs."""
    line = volume((8, 8, 32))[0, 0]
    plan = plan_for((8, 8, 32), block_modes.LAPPED)
    for index, name in enumerate(lapped_filter.FILTERS):
        matrix = lapped_filter.border_matrix(lapped_filter.filter_rotation(name))
        # Only the filter's own axis has borders that are crossed: the first block has none before it.
        norms = lapped_filter.filter_tables()[2][index, [1, 3, 3, 2]]
        expected = line.copy()
        for border in (8, 16, 24):
            expected[border - 4 : border + 4] = matrix @ line[border - 4 : border + 4]
        expected = (expected.reshape(4, 8) @ dct_matrix(8).T) * norms * 8
        latents = forward(jnp.broadcast_to(line, (8, 8, 32)), plan, jnp.int32(index))
        np.testing.assert_allclose(latents[:, :8], expected, atol=1e-4)


def test_a_large_block_is_one_dct_of_16() -> None:
    original = volume((16, 16, 16))
    plan = plan_for((16, 16, 16), block_modes.LARGE)
    latents = np.asarray(forward(jnp.asarray(original), plan, jnp.int32(0)))
    matrix = dct_matrix(16)
    expected = np.einsum("zyx,az,by,cx->abc", original, matrix, matrix, matrix)
    # The cell at (z, y, x) of the superblock has the frequencies 2·k + (z, y, x).
    expected = expected.reshape(8, 2, 8, 2, 8, 2).transpose(1, 3, 5, 0, 2, 4).reshape(8, N_COEFFICIENTS)
    np.testing.assert_allclose(latents[:, 1:], expected[:, 1:], atol=1e-4)
    # Its lowest frequencies are mixed into something like means of eighths, at no loss of energy.
    assert float((latents[:, 0] ** 2).sum()) == pytest.approx((expected[:, 0] ** 2).sum(), rel=1e-4)
    means = original.reshape(2, 8, 2, 8, 2, 8).mean(axis=(1, 3, 5)).reshape(-1) * 8**1.5
    assert np.abs(latents[:, 0] - means).max() < 0.2 * np.abs(means).max()


@pytest.mark.parametrize("mode", range(block_modes.N_MODES))
def test_the_plain_and_the_orthonormal_keep_energy(mode: int) -> None:
    original = volume((16, 32, 48))
    for name in ("none", "orthonormal"):
        index = jnp.int32(lapped_filter.FILTERS.index(name))
        latents = forward(jnp.asarray(original), plan_for(original.shape, mode), index)
        assert float((latents**2).sum()) == pytest.approx(float((original**2).sum()), rel=1e-4)


@pytest.mark.parametrize("index", FILTER_INDICES)
@pytest.mark.parametrize("mode", range(block_modes.N_MODES))
def test_errors_of_latents_add_up_in_the_volume(index: int, mode: int) -> None:
    noise = np.random.default_rng(1).standard_normal((8 * 8 * 8, N_COEFFICIENTS)).astype(np.float32)
    plan = plan_for((64, 64, 64), mode)
    decoded = np.asarray(inverse(jnp.asarray(noise), plan, jnp.int32(index)))
    assert decoded.std() == pytest.approx(1, rel=0.05)


def test_constants_have_one_latent_a_block_and_no_borders() -> None:
    for seed, index in enumerate(FILTER_INDICES):
        plan = plan_for((16, 32, 32), random_modes((16, 32, 32), seed))
        latents = np.asarray(forward(jnp.ones((16, 32, 32)), plan, jnp.int32(index)))
        np.testing.assert_allclose(latents[:, 1:], 0, atol=1e-4)
