import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.tile_integers import dither, multiply, round_kernel


def test_eight_voxels_have_a_mean_with_three_more_bits() -> None:
    values = np.arange(0, 16, 0.125, np.float32)
    volumes = np.broadcast_to(values.reshape(-1, 1, 1, 1), (len(values), 4, 4, 4))
    rounded = np.floor(volumes + np.asarray(dither((4, 4, 4))) + 0.5)
    assert np.abs(rounded - volumes).max() < 1
    means = rounded.reshape(-1, 2, 2, 2, 2, 2, 2).mean((2, 4, 6))
    np.testing.assert_allclose(means, np.broadcast_to(values.reshape(-1, 1, 1, 1), means.shape), atol=1 / 16)
    np.testing.assert_array_equal(dither((2, 4, 4), 1), dither((3, 4, 4))[1:])


def test_rounded_kernels_keep_their_sums() -> None:
    kernel = np.random.default_rng(0).normal(size=(12, 144, 32)).astype(np.float32)
    kernel[..., 3] = 0
    integers, scale = (np.asarray(part) for part in round_kernel(jnp.asarray(kernel)))
    assert scale.shape == (1, 32)
    assert np.abs(integers).max() <= 127
    np.testing.assert_array_equal(integers, np.round(integers))
    errors = (integers - kernel / scale).reshape(12, 12, 12, 32)
    assert np.abs(errors).max() < 2.1
    # What a row or a plane lacks, the next ones have: sums are wrong by less than an integer.
    assert np.abs(errors.cumsum(1).cumsum(0)).max() <= 0.51


def test_products_of_integers_are_exact() -> None:
    left, right = (
        np.random.default_rng(0).integers(-128, 128, size=(32, 32), dtype=np.int8) for _ in range(2)
    )
    product = multiply(jnp.asarray(left), jnp.asarray(right))
    np.testing.assert_array_equal(product, left.astype(np.int32) @ right.astype(np.int32))
