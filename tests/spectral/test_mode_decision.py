import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.spectral import mode_decision
from nvc_jax.transform import block_modes, lapped_filter
from nvc_jax.transform.block_dct import BLOCK_SIZE

choose_modes = jax.jit(mode_decision.choose_modes)
STEP = jnp.float32(0.02)
SHAPE = (32, 48, 64)


def texture(shape: Shape3 = SHAPE) -> np.ndarray:
    """Waves of about ten voxels: borders between blocks cut through them."""
    z, y, x = np.indices(shape)
    return (0.5 * np.sin(0.6 * x + 0.3 * y) * np.cos(0.5 * z)).astype(np.float32)


def boxes(shape: Shape3 = SHAPE) -> np.ndarray:
    """Blocks of constant values: every edge lies on a block's border."""
    values = np.random.default_rng(0).uniform(-0.5, 0.5, grid_shape(shape, BLOCK_SIZE))
    return np.kron(values, np.ones((BLOCK_SIZE,) * 3)).astype(np.float32)


def modes_of(volume: np.ndarray, valid_shape: Shape3 | None = None) -> np.ndarray:
    count = jnp.array(valid_shape or volume.shape, jnp.int32)
    return np.asarray(choose_modes(jnp.asarray(volume), STEP, count)[1])


def filter_of(volume: np.ndarray) -> str:
    return lapped_filter.FILTERS[
        int(choose_modes(jnp.asarray(volume), STEP, jnp.array(volume.shape, jnp.int32))[0])
    ]


def test_the_filter_suits_the_borders() -> None:
    assert filter_of(boxes()) == "none"
    assert filter_of(texture()) != "none"


def test_regions_with_edges_at_borders_are_plain() -> None:
    volume = texture()
    volume[:, :, 32:] = 0.2 * boxes()[:, :, 32:]
    modes = modes_of(volume)
    assert (modes[:, :, 2:] == block_modes.PLAIN).all()
    assert (modes[:, :, :1] != block_modes.PLAIN).all()


def test_smooth_volumes_are_large_and_rough_ones_are_not() -> None:
    z, y, x = np.indices(SHAPE)
    smooth = (0.5 * np.cos(z / 16) * np.cos(y / 24) * np.cos(x / 32 + y / 40)).astype(np.float32)
    assert (modes_of(smooth) == block_modes.LARGE).mean() > 0.5
    rng = np.random.default_rng(0)
    rough = np.where(rng.random(SHAPE) < 0.01, rng.uniform(-0.5, 0.5, SHAPE), 0).astype(np.float32)
    assert not (modes_of(rough) == block_modes.LARGE).any()


def test_regions_that_are_cut_off_are_not_large() -> None:
    z, y, x = np.indices(SHAPE)
    smooth = (0.5 * np.cos(z / 16) * np.cos(y / 24) * np.cos(x / 32 + y / 40)).astype(np.float32)
    modes = modes_of(smooth, (32, 47, 60))
    assert (modes[:, -1] != block_modes.LARGE).all()
    assert (modes[:, :, -1] != block_modes.LARGE).all()


def sample(volume: np.ndarray, valid_shape: Shape3 | None = None) -> mode_decision._Samples:
    count = jnp.array(valid_shape or volume.shape, jnp.int32)
    return jax.jit(mode_decision._sample)(jnp.asarray(volume), STEP, count)


@pytest.mark.parametrize(
    ("shape", "n_samples"), [((8, 16, 24), 1), ((32, 64, 64), 4), ((64, 64, 64), 6), ((96, 128, 128), 6)]
)
def test_small_volumes_are_looked_at_whole_and_large_ones_at_a_few_places(
    shape: Shape3, n_samples: int
) -> None:
    side = min(shape[0], 32)
    samples = sample(np.zeros(shape, np.float32))
    assert samples.tower.shape == (n_samples * side, *(min(length, 32) for length in shape[1:]))
    np.testing.assert_allclose(
        np.sum(samples.weights), len(mode_decision._corners(shape, (side, 32, 32))), rtol=1e-4
    )


@pytest.mark.parametrize("shape", [(32, 32, 32), (64, 64, 64), (32, 128, 128), (40, 72, 256), (56, 56, 56)])
def test_cubes_cover_a_volume_from_borders_of_regions(shape: Shape3) -> None:
    corners = mode_decision._corners(shape, (32, 32, 32))
    assert (corners % 16 == 0).all()
    assert len(np.unique(corners, axis=0)) == len(corners)
    covered = np.zeros(shape, bool)
    for z, y, x in corners:
        assert (np.array([z, y, x]) + 32 <= shape).all()
        covered[z : z + 32, y : y + 32, x : x + 32] = True
    whole = tuple(slice(length // 16 * 16) for length in shape)
    assert covered[whole].all()


def test_samples_lie_where_something_goes_on() -> None:
    volume = np.zeros((96, 128, 128), np.float32)
    volume[70:80, 5:20, 100:120] = 0.4 * np.random.default_rng(0).random((10, 15, 20))
    tower = np.asarray(sample(volume).tower).reshape(6, -1)
    assert (np.abs(tower).max(axis=1) > 0).sum() >= 4


def test_what_does_not_count_is_not_looked_at() -> None:
    volume = np.random.default_rng(0).random((32, 64, 128)).astype(np.float32)
    volume[:, :, :64] = 0
    samples = sample(volume, (31, 64, 50))
    assert np.asarray(samples.tower).max() == 0
    assert (np.asarray(samples.valid_shapes)[:, 0] == 31).all()
    assert set(np.asarray(samples.valid_shapes)[:, 2].tolist()) <= {18, 32}
