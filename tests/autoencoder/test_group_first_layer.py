import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.autoencoder.arithmetic import FAST, arithmetic_of_gpus
from nvc_jax.autoencoder.blocks import gather_blocks, pad_to_grid
from nvc_jax.autoencoder.group_first_layer import can_multiply, multiply
from nvc_jax.core.normalization import normalize
from nvc_jax.core.shapes import check_shape, grid_shape

LIMITS = (jnp.float32(-3), jnp.float32(200))


def specification(volume: jax.Array, kernel: jax.Array, block_size: int, margin: int) -> jax.Array:
    arithmetic = arithmetic_of_gpus(FAST)
    grid = grid_shape(check_shape(volume.shape), block_size)
    padded = pad_to_grid(volume, grid, block_size, margin, fill=LIMITS[0])
    blocks = arithmetic.keep(normalize(gather_blocks(padded, block_size, margin), *LIMITS))
    return arithmetic.multiply(blocks.reshape(len(blocks), -1), kernel)


@pytest.mark.parametrize(
    ("shape", "block_size", "margin", "units"),
    [((13, 17, 9), 4, 1, 16), ((20, 30, 72), 8, 2, 32), ((9, 8, 3), 8, 0, 16), ((5, 6, 7), 4, 4, 16)],
)
def test_the_kernel_is_the_specification(shape: tuple, block_size: int, margin: int, units: int) -> None:
    draw = np.random.default_rng(0)
    volume = draw.uniform(-3, 200, shape).astype(np.float32)
    volume[0, 0, 0], volume[-1, -1, -1] = np.nan, np.inf
    kernel = jnp.asarray(draw.normal(size=((block_size + 2 * margin) ** 3, units)).astype(np.float32))
    expected = jax.jit(specification, static_argnums=(2, 3))(jnp.asarray(volume), kernel, block_size, margin)
    computed = jax.jit(multiply, static_argnums=(3, 4), static_argnames="interpret")(
        jnp.asarray(volume), LIMITS, kernel, block_size, margin, interpret=True
    )
    # Sums of up to 1,728 products go in another order.
    np.testing.assert_allclose(computed, expected, atol=1e-4)


def test_layers_beyond_the_kernel_are_told() -> None:
    volume = jnp.zeros((8, 8, 8))
    assert can_multiply(volume, 128, 8)
    assert not can_multiply(volume, 96, 8)
    assert not can_multiply(volume, 512, 8)
    assert not can_multiply(jax.ShapeDtypeStruct((2048, 2048, 512), jnp.uint8), 128, 8)
