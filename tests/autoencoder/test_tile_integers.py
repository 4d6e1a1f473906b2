import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.tile_integers import LARGEST, PART, multiply, to_integers


def test_integers_have_fifteen_bits() -> None:
    values = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
    values[3] = 0
    integers = to_integers(jnp.asarray(values), axis=1)
    assert (integers.first.dtype, integers.second.dtype) == (jnp.int8, jnp.int8)
    numbers = np.asarray(integers.first, np.int32) * PART + np.asarray(integers.second, np.int32)
    assert np.abs(numbers).max() <= LARGEST
    scale = np.asarray(integers.scale)
    assert scale.shape == (8, 1)
    assert (np.abs(numbers * scale - values) <= 0.501 * scale).all()


def test_products_of_integers_are_exact() -> None:
    left, right = (
        np.random.default_rng(0).integers(-128, 128, size=(32, 32), dtype=np.int8) for _ in range(2)
    )
    product = multiply(jnp.asarray(left), jnp.asarray(right))
    np.testing.assert_array_equal(product, left.astype(np.int32) @ right.astype(np.int32))
