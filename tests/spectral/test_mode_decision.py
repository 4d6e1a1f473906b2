import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.spectral import mode_decision
from nvc_jax.spectral.encoder_options import PLAIN_CANDIDATE, EncoderOptions
from nvc_jax.transform import block_modes, lapped_filter
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

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
    filter_index, _ = choose_modes(jnp.asarray(volume), STEP, jnp.array(volume.shape, jnp.int32))
    return lapped_filter.FILTERS[int(filter_index)]


def test_the_filter_suits_the_borders() -> None:
    assert filter_of(boxes()) == "none"
    assert filter_of(texture()) != "none"


def test_superblocks_with_edges_at_borders_are_plain() -> None:
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


def test_superblocks_that_are_cut_off_are_not_large() -> None:
    z, y, x = np.indices(SHAPE)
    smooth = (0.5 * np.cos(z / 16) * np.cos(y / 24) * np.cos(x / 32 + y / 40)).astype(np.float32)
    modes = modes_of(smooth, (32, 47, 60))
    assert (modes[:, -1] != block_modes.LARGE).all()
    assert (modes[:, :, -1] != block_modes.LARGE).all()


def test_options_limit_the_choice() -> None:
    volume = texture()
    volume[:, :, 32:] = 0.2 * boxes()[:, :, 32:]
    options = EncoderOptions(candidates=(PLAIN_CANDIDATE,), tries_plain_superblocks=False)
    valid_shape = jnp.array(volume.shape, jnp.int32)
    filter_index, modes = mode_decision.choose_modes(jnp.asarray(volume), STEP, valid_shape, options)
    assert lapped_filter.FILTERS[int(filter_index)] == "none"
    assert (np.asarray(modes) == block_modes.LAPPED).all()
