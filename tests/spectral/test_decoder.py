import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.entropy.word_stack import GROUP_LANES
from nvc_jax.spectral import decoder
from nvc_jax.spectral.encoder import encode_with_symbols


def test_damaged_words_decode_to_something(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    noise = np.random.default_rng(0).integers(0, 1 << 16, len(encoded.stream.words)).astype(np.uint16)
    stream = encoded.stream._replace(words=jnp.asarray(noise))
    damaged = dataclasses.replace(encoded, stream=stream)
    decoded = np.asarray(nvc_jax.decode_volume(codec, damaged))
    assert decoded.shape == SMALL_VOLUME.shape


@pytest.mark.parametrize("step", [0.004, 0.008, 0.03])
def test_the_decoder_finds_the_integers_of_the_encoder(codec: nvc_jax.Codec, step: float) -> None:
    """Waves and a ramp: many of their coefficients are exactly 0."""
    z, y, x = np.indices((24, 16, 24))
    for volume in (np.sin(z / 4) + np.cos(y / 5) * x / 10, (z + y + x) / 7):
        values = jnp.asarray(volume, jnp.float32)
        encoded, symbols = encode_with_symbols(
            codec.params, values, values.min(), values.max(), jnp.float32(step)
        )
        decoded = decoder.decode_symbols(codec.params, encoded)
        jax.tree.map(np.testing.assert_array_equal, decoded, symbols)


def test_block_means_are_near_those_of_the_volume(codec: nvc_jax.Codec) -> None:
    z, y, x = np.indices((16, 24, 24))
    volume = (np.sin(z / 20) + np.cos(y / 30) * np.sin(x / 25)).astype(np.float32)
    encoded = nvc_jax.encode_volume(codec, volume, step=0.005)
    decoded = np.asarray(decoder.decode_block_means(codec.params, encoded))
    means = volume.reshape(2, 8, 3, 8, 3, 8).mean(axis=(1, 3, 5))
    assert decoded.dtype == volume.dtype
    assert np.abs(decoded - means).max() < 0.1 * np.ptp(volume)


def test_block_means_need_no_integers(codec: nvc_jax.Codec) -> None:
    """Headers are the last words of a group of lanes; those before are not read."""
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.005)
    stream = encoded.stream
    assert int(stream.n_lanes) <= GROUP_LANES
    first_words = stream.words.at[: int(stream.group_words[0]) // 8]
    damaged = dataclasses.replace(encoded, stream=stream._replace(words=first_words.set(0)))
    expected = decoder.decode_block_means(codec.params, encoded)
    np.testing.assert_array_equal(decoder.decode_block_means(codec.params, damaged), expected)
