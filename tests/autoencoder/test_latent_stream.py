import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

import nvc_jax
from nvc_jax.autoencoder import codec as codec_module
from nvc_jax.autoencoder import encoded as encoded_module
from nvc_jax.autoencoder import latent_stream
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:24, :40, 20:61]
encode_integers = jax.jit(latent_stream.encode_integers)
decode_integers = jax.jit(latent_stream.decode_integers, static_argnums=1)


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.load_codec("two-wide-margin")


def used_by(integers: ArrayLike) -> int:
    return int(encode_integers(jnp.asarray(integers, jnp.int32), jnp.float32(1)).used)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 60, 1 << 19]), st.booleans())
def test_any_integers_round_trip(seed: int, scale: int, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-scale, scale + 1, (3, 4, 5, 6))
    if smooth:
        integers = np.clip(np.cumsum(integers, axis=rng.integers(3)), -scale, scale)
    stream = encode_integers(jnp.asarray(integers, jnp.int32), jnp.float32(1))
    np.testing.assert_array_equal(decode_integers(stream, (3, 4, 5)), integers)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 7, 3), (5, 1, 1, 2), (2, 3, 4, 70)])
def test_any_grid_round_trips(shape: tuple[int, int, int, int]) -> None:
    integers = np.random.default_rng(0).integers(-9, 10, shape)
    stream = encode_integers(jnp.asarray(integers, jnp.int32), jnp.float32(1))
    np.testing.assert_array_equal(decode_integers(stream, shape[:3]), integers)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_each_dimension_is_predicted_along_what_suits_it(axes: tuple[int, ...]) -> None:
    """Integers that are sums of noise along some axes cost what the noise costs."""
    noise = np.random.default_rng(0).integers(-2, 3, (8, 8, 8, 4))
    dimensions = [latent_stream._accumulate(jnp.asarray(noise[..., d], jnp.int32), axes) for d in range(4)]
    integers = np.stack(dimensions, axis=-1)
    choices = encode_integers(jnp.asarray(integers, jnp.int32), jnp.float32(1)).choices
    np.testing.assert_array_equal(choices % 8, latent_stream._PREDICTORS.index(axes))
    assert used_by(integers) <= used_by(noise) + 8


def test_latents_come_back_within_half_a_step() -> None:
    values = np.random.default_rng(0).standard_normal((4, 4, 4, 8)).astype(np.float32)
    for step in (0.01, 0.5):
        stream = latent_stream.encode_latents(jnp.asarray(values), jnp.float32(step))
        decoded = np.asarray(latent_stream.decode_latents(stream, grid=(4, 4, 4)))
        assert np.abs(decoded - values).max() <= step / 2 * (1 + 1e-5)


@pytest.mark.parametrize("variant", ["zero-margin", "two-wide-margin", "more-parameters"])
def test_smaller_steps_are_better_and_larger(variant: str) -> None:
    codec = nvc_jax.load_codec(variant)
    best = np.asarray(nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME)))
    measured = []
    for step in (2.0, 0.5, 0.02):
        encoded = nvc_jax.encode_volume(codec, VOLUME, step=step)
        decoded = np.asarray(nvc_jax.decode_volume(codec, encoded))
        measured.append((psnr_db(VOLUME, decoded), int(encoded.stream.used)))
    assert measured == sorted(measured)
    assert measured[-1][0] == pytest.approx(psnr_db(VOLUME, best), abs=0.2)
    assert 2 * measured[-1][1] < encoded.stream.choices.size * 3 * 5 * 6 * 4 / 3  # of float32's bytes


@pytest.mark.parametrize("mode", ["crop", "blend"])
def test_rounded_latents_are_what_is_decoded(codec: nvc_jax.Codec, mode: str) -> None:
    volume = VOLUME.astype(np.float32)
    encoded = nvc_jax.encode_volume(codec, volume)
    assert isinstance(encoded, nvc_jax.EncodedLatents)
    rounded = encoded_module.EncodedLatents(
        jnp.rint(encoded.latents / 0.25) * 0.25,
        encoded.minimum,
        encoded.maximum,
        encoded.shape,
        encoded.dtype,
    )
    expected = nvc_jax.decode_volume(codec, rounded, mode=mode)
    decoded = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=0.25), mode=mode)
    np.testing.assert_allclose(decoded, expected, atol=0.01)


def test_compiles_once_for_each_shape(codec: nvc_jax.Codec) -> None:
    codec_module._encode.clear_cache()
    codec_module._decode.clear_cache()
    for step in (0.1, jnp.float32(1)):
        for volume in (VOLUME, VOLUME[::-1]):
            nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))
    assert codec_module._encode._cache_size() == codec_module._decode._cache_size() == 1


def test_runs_inside_jit_and_vmap(codec: nvc_jax.Codec) -> None:
    @jax.jit
    def process(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        return nvc_jax.decode_volume(codec, encoded), encoded.stream.used

    volumes = jnp.stack([jnp.asarray(VOLUME), jnp.asarray(VOLUME[:, ::-1] // 2)])
    steps = jnp.array([0.1, 0.5])
    batched, used = jax.vmap(process, in_axes=(None, 0, 0))(codec, volumes, steps)
    for volume, step, decoded, n in zip(volumes, steps, batched, used, strict=True):
        alone, n_alone = process(codec, volume, step)
        assert int(n) == pytest.approx(int(n_alone), rel=0.01)
        assert np.abs(np.asarray(alone, int) - np.asarray(decoded, int)).max() <= 8


def test_runs_inside_shard_map(codec: nvc_jax.Codec) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("z"), jax.sharding.PartitionSpec()
    volume = jnp.asarray(VOLUME[: 8 * jax.device_count()])

    def process(codec: nvc_jax.Codec, part: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, part, step=0.1))

    sharded = jax.jit(jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each), out_specs=each))
    parts = [np.asarray(process(codec, part)) for part in jnp.split(volume, jax.device_count())]
    difference = np.asarray(sharded(codec, volume), int) - np.concatenate(parts).astype(int)
    assert np.abs(difference).max() <= 8


def test_payloads_round_trip_and_are_checked() -> None:
    values = np.random.default_rng(0).standard_normal((4, 4, 4, 8)).astype(np.float32)
    stream = latent_stream.encode_latents(jnp.asarray(values), jnp.float32(0.1))
    payload = latent_stream.to_bytes(stream)
    assert len(payload) == 8 + 8 + 2 * int(stream.used)
    restored = latent_stream.from_bytes(payload, (4, 4, 4), 8, 0.1)
    expected = latent_stream.decode_latents(stream, grid=(4, 4, 4))
    np.testing.assert_array_equal(latent_stream.decode_latents(restored, grid=(4, 4, 4)), expected)
    for damaged in (b"", payload[:15], payload[:-1], payload + b"ab", bytes(8) + payload[8:]):
        with pytest.raises(ValueError, match="payload"):
            latent_stream.from_bytes(damaged, (4, 4, 4), 8, 0.1)


def test_damaged_words_decode_to_something() -> None:
    values = np.random.default_rng(0).standard_normal((4, 4, 4, 8)).astype(np.float32)
    stream = latent_stream.encode_latents(jnp.asarray(values), jnp.float32(0.1))
    noise = np.random.default_rng(0).integers(0, 1 << 16, stream.words.shape[0]).astype(np.uint16)
    choices = jnp.asarray(np.arange(255, 247, -1), jnp.uint8)
    damaged = stream._replace(words=jnp.asarray(noise), choices=choices)
    assert latent_stream.decode_latents(damaged, grid=(4, 4, 4)).shape == values.shape


def test_bad_steps_and_foreign_streams_are_named(codec: nvc_jax.Codec) -> None:
    for step in (0.0, -1.0, 1e9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`step` \(=.*must lie between .* unit of the latents"):
            nvc_jax.encode_volume(codec, VOLUME, step=step)
    encoded = nvc_jax.encode_volume(codec, VOLUME, step=1.0)
    other = nvc_jax.load_codec("more-parameters")
    with pytest.raises(ValueError, match=r"`encoded\.stream\.words` has shape"):
        nvc_jax.decode_volume(other, encoded)
    with pytest.raises(ValueError, match="not of a spectral codec"):
        nvc_jax.decode_volume(nvc_jax.load_codec("nvc-1"), encoded)
