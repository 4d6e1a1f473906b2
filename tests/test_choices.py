import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax import choices, regions, transform
from nvc_jax.blocks import Shape3, grid_shape
from nvc_jax.cells import BLOCK

choose = jax.jit(choices.choose)
STEP = jnp.float32(0.02)
SHAPE = (32, 48, 64)


def texture(shape: Shape3 = SHAPE) -> np.ndarray:
    """Waves of about ten voxels: borders between blocks cut through them."""
    z, y, x = np.indices(shape)
    return (0.5 * np.sin(0.6 * x + 0.3 * y) * np.cos(0.5 * z)).astype(np.float32)


def boxes(shape: Shape3 = SHAPE) -> np.ndarray:
    """Blocks of constant values: every edge lies on a block's border."""
    values = np.random.default_rng(0).uniform(-0.5, 0.5, grid_shape(shape, BLOCK))
    return np.kron(values, np.ones((BLOCK,) * 3)).astype(np.float32)


def modes_of(volume: np.ndarray, extent: Shape3 | None = None) -> np.ndarray:
    count = jnp.array(extent or volume.shape, jnp.int32)
    return np.asarray(choose(jnp.asarray(volume), STEP, count)[1])


def filter_of(volume: np.ndarray) -> str:
    return transform.FILTERS[int(choose(jnp.asarray(volume), STEP, jnp.array(volume.shape, jnp.int32))[0])]


def test_the_filter_suits_the_borders() -> None:
    assert filter_of(boxes()) == "none"
    assert filter_of(texture()) != "none"


def test_regions_with_edges_at_borders_are_plain() -> None:
    volume = texture()
    volume[:, :, 32:] = 0.2 * boxes()[:, :, 32:]
    modes = modes_of(volume)
    assert (modes[:, :, 2:] == regions.PLAIN).all()
    assert (modes[:, :, :1] != regions.PLAIN).all()


def test_smooth_volumes_are_large_and_rough_ones_are_not() -> None:
    z, y, x = np.indices(SHAPE)
    smooth = (0.5 * np.cos(z / 16) * np.cos(y / 24) * np.cos(x / 32 + y / 40)).astype(np.float32)
    assert (modes_of(smooth) == regions.LARGE).mean() > 0.5
    rng = np.random.default_rng(0)
    rough = np.where(rng.random(SHAPE) < 0.01, rng.uniform(-0.5, 0.5, SHAPE), 0).astype(np.float32)
    assert not (modes_of(rough) == regions.LARGE).any()


def test_regions_that_are_cut_off_are_not_large() -> None:
    z, y, x = np.indices(SHAPE)
    smooth = (0.5 * np.cos(z / 16) * np.cos(y / 24) * np.cos(x / 32 + y / 40)).astype(np.float32)
    modes = modes_of(smooth, (32, 47, 60))
    assert (modes[:, -1] != regions.LARGE).all()
    assert (modes[:, :, -1] != regions.LARGE).all()


def test_small_volumes_are_one_sample_and_large_ones_a_few() -> None:
    assert choices._samples(jnp.zeros((8, 16, 24))).shape == (1, 8, 16, 24)
    assert choices._samples(jnp.zeros((64, 64, 64))).shape == (4, 32, 32, 32)
    assert choices._samples(jnp.zeros((128, 128, 128))).shape == (6, 32, 32, 32)


@pytest.mark.parametrize("shape", [(64, 64, 64), (32, 128, 128), (40, 72, 256), (512, 512, 512)])
def test_samples_lie_apart_on_borders_of_regions(shape: Shape3) -> None:
    corners = np.array(choices._corners(shape, (32, 32, 32)))
    assert (corners % 16 == 0).all()
    assert (corners >= 0).all()
    assert (corners + 32 <= shape).all()
    assert len(np.unique(corners, axis=0)) == len(corners)
    for axis, length in enumerate(shape):
        assert len(np.unique(corners[:, axis])) >= min(3, length // 32)
