import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.autoencoder import whole_volume
from nvc_jax.autoencoder.group_blend import PART_VOXELS, blend, can_blend

LIMITS = (jnp.float32(-3), jnp.float32(200))
ROUNDING = 203 * 2.0**-22
"""Products may or may not be rounded before they are added: a unit in the last place of the range."""


def random_blocks(grid: tuple[int, int, int], side: int, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(size=(*grid, *[side] * 3)).astype(dtype))


@pytest.mark.parametrize(
    ("grid", "block_size", "margin", "shape", "dtype", "kept"),
    [
        ((2, 3, 2), 4, 1, (7, 10, 8), "float32", "float32"),
        ((1, 2, 1), 8, 2, (3, 16, 5), "float32", "float16"),
        ((2, 1, 3), 4, 2, (8, 4, 12), "uint8", "float16"),
        ((1, 1, 20), 8, 2, (2, 2, PART_VOXELS + 9), "float16", "float16"),
    ],
)
def test_the_kernel_is_the_specification(
    grid: tuple, block_size: int, margin: int, shape: tuple, dtype: str, kept: str
) -> None:
    blocks = random_blocks(grid, block_size + 2 * margin, kept)
    assert can_blend(blocks, block_size, margin, shape)
    arguments = (blocks, LIMITS, margin, shape, dtype)
    expected = jax.jit(whole_volume.assemble, static_argnums=(2, 3, 4))(*arguments)
    blended = jax.jit(blend, static_argnums=(2, 3, 4), static_argnames="interpret")(
        *arguments, interpret=True
    )
    assert blended.dtype == expected.dtype
    assert blended.shape == expected.shape == shape
    tolerance = {"float32": ROUNDING, "float16": 0.125, "uint8": 0}[dtype]
    np.testing.assert_allclose(blended.astype(jnp.float32), expected.astype(jnp.float32), atol=tolerance)


def test_batches_are_blended_one_by_one() -> None:
    blocks = jnp.stack([random_blocks((2, 2, 2), 6), 1 - random_blocks((2, 2, 2), 6)])

    def blend_one(blocks: jax.Array) -> jax.Array:
        return blend(blocks, LIMITS, 1, (8, 8, 8), "float32", interpret=True)

    batch = jax.jit(jax.vmap(blend_one))(blocks)
    np.testing.assert_array_equal(batch, jnp.stack([jax.jit(blend_one)(one) for one in blocks]))


def test_blocks_beyond_the_kernel_are_told() -> None:
    blocks = random_blocks((1, 1, 1), 7)
    assert not can_blend(blocks, 3, 2, (3, 3, 3))
    assert not can_blend(blocks, 5, 1, (2048, 2048, 512))
