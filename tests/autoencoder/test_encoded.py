import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.autoencoder.encoded import EncodedLatents, check_encoded, dequantize, quantize
from nvc_jax.autoencoder.latent_stream import to_bytes

GRID, LATENT_DIM = (2, 3, 4), 5


def make_encoded() -> EncodedLatents:
    latents = np.random.default_rng(0).standard_normal((*GRID, LATENT_DIM)).astype(np.float32)
    return EncodedLatents(
        latents=jnp.asarray(latents),
        minimum=jnp.float32(-1),
        maximum=jnp.float32(2),
        shape=(15, 24, 30),
        dtype="int16",
    )


def test_quantised_latents_come_back_within_half_a_step() -> None:
    encoded = make_encoded()
    decoded = dequantize(quantize(encoded, jnp.float32(0.25)), block_size=8)
    np.testing.assert_allclose(decoded.latents, encoded.latents, atol=0.125 * (1 + 1e-5))
    assert (decoded.minimum, decoded.maximum) == (-1, 2)
    assert (decoded.shape, decoded.dtype) == (encoded.shape, encoded.dtype)


def test_sizes_are_those_of_the_volume_and_of_the_data_in_use() -> None:
    encoded = make_encoded()
    stream = quantize(encoded, jnp.float32(0.25))
    assert encoded.volume_bytes == stream.volume_bytes == 15 * 24 * 30 * 2
    assert encoded.used_bytes == 2 * 3 * 4 * LATENT_DIM * 4
    assert int(stream.used_bytes) == len(to_bytes(stream.stream))


def test_encoded_volumes_are_pytrees_with_a_static_shape_and_dtype() -> None:
    encoded = make_encoded()
    halved = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf / 2, tree))(encoded)
    assert (halved.shape, halved.dtype) == (encoded.shape, encoded.dtype)
    np.testing.assert_array_equal(halved.latents, encoded.latents / 2)
    assert len(jax.tree.leaves(encoded)) == 3


def test_arrays_of_another_grid_or_model_are_refused() -> None:
    encoded = make_encoded()
    stream = quantize(encoded, jnp.float32(1))
    for valid in (encoded, stream):
        check_encoded(valid, GRID, LATENT_DIM)
    with pytest.raises(ValueError, match=r"`encoded\.latents` has shape \(2, 3, 4, 5\)"):
        check_encoded(encoded, GRID, LATENT_DIM + 1)
    with pytest.raises(ValueError, match=r"`encoded\.stream\.coded\.words` has shape"):
        check_encoded(stream, (20, 30, 40), LATENT_DIM)
