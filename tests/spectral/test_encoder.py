import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_golden import GOLDEN

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.codec import encode_spectral
from nvc_jax.spectral import decoder, stream

VOLUME = read_volume(SAMPLE)[:24, :40, 20:61]


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.load_codec("nvc-1")


def round_trip(codec: nvc_jax.Codec, volume: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    encoded = nvc_jax.encode_volume(codec, volume, step=step)
    return np.asarray(nvc_jax.decode_volume(codec, encoded)), int(encoded.used)


def test_smaller_steps_are_better_and_larger(codec: nvc_jax.Codec) -> None:
    volume = VOLUME.astype(np.float32)
    measured = [
        (psnr_db(volume, decoded), used)
        for decoded, used in (round_trip(codec, volume, step) for step in (0.2, 0.05, 0.01, 0.001))
    ]
    assert measured == sorted(measured)
    assert measured[0][0] > 25
    assert measured[-1][0] > 60
    assert measured[0][1] < measured[-1][1] / 8


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_dtype_and_shape_come_back(dtype: str, codec: nvc_jax.Codec) -> None:
    volume = VOLUME[:9, :17, :5].astype(dtype)
    decoded, _ = round_trip(codec, volume, 0.002)
    assert decoded.dtype == volume.dtype
    assert decoded.shape == volume.shape
    assert psnr_db(volume, decoded) > 50


def test_the_smallest_step_is_near_exact(codec: nvc_jax.Codec) -> None:
    rng = np.random.default_rng(0)
    volume = rng.uniform(-3, 5, (16, 16, 24)).astype(np.float32)
    volume[:8] = np.where(rng.random((8, 16, 24)) < 0.5, -3, 5)  # the hardest edges there are
    decoded, _ = round_trip(codec, volume, stream.MIN_STEP)
    assert np.abs(decoded - volume).max() < 8 * 20 * stream.MIN_STEP


def test_constants_are_exact_and_small(codec: nvc_jax.Codec) -> None:
    volume = np.full((16, 16, 16), -3.25, np.float32)
    decoded, used = round_trip(codec, volume, 0.01)
    np.testing.assert_array_equal(decoded, volume)
    assert used < 12


def test_payloads_round_trip_and_are_checked(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, VOLUME, step=0.02)
    payload = stream.to_bytes(encoded)
    numbers = (float(encoded.minimum), float(encoded.maximum), float(encoded.step))
    restored = stream.from_bytes(payload, encoded.shape, encoded.dtype, *numbers, n_profiles=4)
    expected = np.asarray(nvc_jax.decode_volume(codec, encoded))
    np.testing.assert_array_equal(nvc_jax.decode_volume(codec, restored), expected)
    for damaged in (b"", payload[:-1], payload + b"ab", bytes(12) + payload[12:], payload[:8] + b"\xff" * 4):
        with pytest.raises(ValueError, match="payload"):
            stream.from_bytes(damaged, encoded.shape, encoded.dtype, *numbers, n_profiles=4)


def test_damaged_words_decode_to_something(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, VOLUME, step=0.02)
    noise = np.random.default_rng(0).integers(0, 1 << 16, encoded.words.shape[0]).astype(np.uint16)
    damaged = dataclasses.replace(encoded, words=jnp.asarray(noise))
    decoded = np.asarray(nvc_jax.decode_volume(codec, damaged))
    assert decoded.shape == VOLUME.shape


def test_compiles_once_for_each_shape(codec: nvc_jax.Codec) -> None:
    encode_spectral.clear_cache()
    decoder.decode.clear_cache()
    for step in (0.1, 0.01):
        for volume in (VOLUME, VOLUME[::-1]):
            round_trip(codec, volume, step)
    assert encode_spectral._cache_size() == 1
    assert decoder.decode._cache_size() == 1


def test_runs_inside_jit_and_vmap(codec: nvc_jax.Codec) -> None:
    @jax.jit
    def process(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        return nvc_jax.decode_volume(codec, encoded), encoded.used

    volumes = jnp.stack([jnp.asarray(VOLUME), jnp.asarray(VOLUME[:, ::-1] // 2)])
    steps = jnp.array([0.01, 0.1])
    batched, used = jax.vmap(process, in_axes=(None, 0, 0))(codec, volumes, steps)
    for volume, step, decoded, n in zip(volumes, steps, batched, used, strict=True):
        alone, n_alone = process(codec, volume, step)
        assert int(n) == pytest.approx(int(n_alone), rel=0.01)
        assert np.abs(np.asarray(alone, int) - np.asarray(decoded, int)).max() <= 2


def test_runs_inside_shard_map(codec: nvc_jax.Codec) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("z"), jax.sharding.PartitionSpec()
    volume = jnp.asarray(VOLUME[: 8 * jax.device_count()])

    def process(codec: nvc_jax.Codec, part: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, part, step=0.02))

    sharded = jax.jit(jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each), out_specs=each))
    parts = [np.asarray(process(codec, part)) for part in jnp.split(volume, jax.device_count())]
    difference = np.asarray(sharded(codec, volume), int) - np.concatenate(parts).astype(int)
    assert np.abs(difference).max() <= 2


def test_bad_steps_and_mismatches_are_named(codec: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match="`step` is missing"):
        nvc_jax.encode_volume(codec, VOLUME)
    for step in (0.0, -1.0, 2.5, float("nan")):
        with pytest.raises(ValueError, match=r"`step` \(=.*must lie between"):
            nvc_jax.encode_volume(codec, VOLUME, step=step)
    variant = nvc_jax.load_codec("zero-margin")
    with pytest.raises(ValueError, match="not of a dense codec"):
        nvc_jax.decode_volume(variant, nvc_jax.encode_volume(codec, VOLUME, step=0.1))


def test_two_quantizers_take_fewer_bits_than_one(codec: nvc_jax.Codec) -> None:
    """At equal PSNR: against the last model that had one."""
    volume = read_volume(SAMPLE)[:48, :48, :48].astype(np.float32)

    def log_bits(codec: nvc_jax.Codec) -> np.ndarray:
        measured = [round_trip(codec, volume, step) for step in (0.12, 0.05, 0.02, 0.01)]
        qualities = [psnr_db(volume, decoded) for decoded, _ in measured]
        assert qualities[0] < 36
        assert qualities[-1] > 48
        return np.interp([36, 40, 44, 48], qualities, [np.log(used) for _, used in measured])

    one = nvc_jax.load_codec(GOLDEN / "model")
    assert one.config.n_quantizers == 1
    assert np.mean(log_bits(codec) - log_bits(one)) < np.log(0.985)
