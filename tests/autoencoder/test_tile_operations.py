import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.tile_operations import from_lanes, multiply, split, swap_lanes, to_lanes

DRAW = np.random.default_rng(0)


def draw(*shape: int) -> jax.Array:
    return jnp.asarray(DRAW.normal(size=shape).astype(np.float32))


def test_lanes_are_swapped_with_the_index() -> None:
    registers = draw(8, 8, 128)
    swapped = np.stack(swap_lanes(list(registers)))
    expected = np.asarray(registers).reshape(8, 8, 16, 8).transpose(3, 1, 2, 0).reshape(8, 8, 128)
    np.testing.assert_array_equal(swapped, expected)
    np.testing.assert_array_equal(np.stack(swap_lanes(list(jnp.asarray(swapped)))), registers)


def test_orders_of_blocks_are_changed_exactly() -> None:
    blocks = draw(128, 5)
    in_lanes = to_lanes(blocks)
    expected = np.asarray(blocks).reshape(8, 16, 5).transpose(1, 0, 2).reshape(128, 5)
    np.testing.assert_array_equal(in_lanes, expected)
    np.testing.assert_array_equal(from_lanes(in_lanes.T), blocks)


def test_parts_add_up() -> None:
    values = draw(16, 16)
    np.testing.assert_array_equal(sum(part.astype(jnp.float32) for part in split(values, 3)), values)
    left, right = draw(4, 64), draw(64, 3)
    expected = np.asarray(left) @ np.asarray(right)
    np.testing.assert_allclose(multiply(split(left), split(right)), expected, atol=1e-3)
