import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from nvc_jax.autoencoder import latent_stream
from nvc_jax.entropy.delta_prediction import accumulate

encode_integers = jax.jit(latent_stream.encode_integers)
decode_integers = jax.jit(latent_stream.decode_integers, static_argnums=1)


def encode(integers: ArrayLike) -> latent_stream.LatentStream:
    return encode_integers(jnp.asarray(integers, jnp.int32), jnp.float32(1))


def normal_stream(step: float) -> tuple[np.ndarray, latent_stream.LatentStream]:
    values = np.random.default_rng(0).standard_normal((4, 4, 4, 8)).astype(np.float32)
    return values, latent_stream.encode_latents(jnp.asarray(values), jnp.float32(step))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 60, latent_stream.MAX_INTEGER]), st.booleans())
def test_any_integers_round_trip(seed: int, scale: int, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-scale, scale + 1, (3, 4, 5, 6))
    if smooth:
        integers = np.clip(np.cumsum(integers, axis=rng.integers(3)), -scale, scale)
    np.testing.assert_array_equal(decode_integers(encode(integers), (3, 4, 5)), integers)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 7, 3), (5, 1, 1, 2), (2, 3, 4, 70)])
def test_any_grid_round_trips(shape: tuple[int, int, int, int]) -> None:
    integers = np.random.default_rng(0).integers(-9, 10, shape)
    np.testing.assert_array_equal(decode_integers(encode(integers), shape[:3]), integers)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_each_dimension_is_predicted_along_the_axes_that_suit_it(axes: tuple[int, ...]) -> None:
    """Integers that are sums of noise along some axes cost as many bits as the noise."""
    noise = np.random.default_rng(0).integers(-2, 3, (8, 8, 8, 4))
    passes = latent_stream.prediction_passes(axes, (8, 8, 8))
    dimensions = [accumulate(jnp.asarray(noise[..., d], jnp.int32), *passes) for d in range(4)]
    stream = encode(np.stack(dimensions, axis=-1))
    predictors = np.asarray(stream.choices) % len(latent_stream.PREDICTORS)
    np.testing.assert_array_equal(predictors, latent_stream.PREDICTORS.index(axes))
    assert int(stream.used_bytes) <= int(encode(noise).used_bytes) + 16


def test_latents_come_back_within_half_a_step() -> None:
    for step in (0.01, 0.5):
        values, stream = normal_stream(step)
        decoded = np.asarray(latent_stream.decode_latents(stream, grid=(4, 4, 4)))
        assert np.abs(decoded - values).max() <= step / 2 * (1 + 1e-5)


def test_streams_round_trip_and_are_checked() -> None:
    _, stream = normal_stream(0.1)
    stored = latent_stream.to_bytes(stream)
    assert len(stored) == 1 + 8 + int(stream.coded.stored_bytes) == int(stream.used_bytes)
    restored = latent_stream.from_bytes(stored, (4, 4, 4), 8, 0.1)
    expected = latent_stream.decode_latents(stream, grid=(4, 4, 4))
    np.testing.assert_array_equal(latent_stream.decode_latents(restored, grid=(4, 4, 4)), expected)
    message = r"cut short|lacks the choices of 8|contradicts its words of \d+ bytes|states 0 lanes"
    for damaged in (b"", stored[:8], stored[:-1], stored[:11], b"\0" + stored[1:]):
        with pytest.raises(ValueError, match=message):
            latent_stream.from_bytes(damaged, (4, 4, 4), 8, 0.1)


def test_damaged_words_decode_to_latents_of_the_right_shape() -> None:
    values, stream = normal_stream(0.1)
    noise = np.random.default_rng(0).integers(0, 1 << 16, stream.coded.words.shape[0]).astype(np.uint16)
    choices = jnp.asarray(np.arange(255, 247, -1), jnp.uint8)
    damaged = stream._replace(coded=stream.coded._replace(words=jnp.asarray(noise)), choices=choices)
    assert latent_stream.decode_latents(damaged, grid=(4, 4, 4)).shape == values.shape
