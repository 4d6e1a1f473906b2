import jax.numpy as jnp
import numpy as np
import pytest
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.shapes import Shape3
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral import encoded_stream, encoder
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.encoder_options import EncoderOptions
from nvc_jax.spectral.training.fit import fit_spectral
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS

CUBE = SMALL_VOLUME[:, :16, :16]
"""Programs for cubes compile faster: all axes share one loop of ``choose_shape``."""


def fit_small_model(n_quantizers: int) -> nvc_jax.Codec:
    """A small model of one profile, fitted to a part of the sample volume."""
    config = SpectralConfig(n_classes=8, n_tables=8, n_quantizers=n_quantizers, n_profiles=1)
    return nvc_jax.Codec(
        config, fit_spectral([read_volume(SAMPLE)[:48, :48, :48]], config, blocks_per_volume=500)
    )


@pytest.fixture(scope="module")
def one_quantizer() -> nvc_jax.Codec:
    return fit_small_model(1)


@pytest.fixture(scope="module")
def two_quantizers() -> nvc_jax.Codec:
    return fit_small_model(2)


def round_trip(codec: nvc_jax.Codec, volume: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    """The decoded volume, and the bytes of its stream."""
    encoded = nvc_jax.encode_volume(codec, volume, step=step)
    return np.asarray(nvc_jax.decode_volume(codec, encoded)), int(encoded.used_bytes)


def test_smaller_steps_are_better_and_larger(codec: nvc_jax.Codec) -> None:
    volume = SMALL_VOLUME.astype(np.float32)
    measured = [
        (psnr_db(volume, decoded), used)
        for decoded, used in (round_trip(codec, volume, step) for step in (0.2, 0.05, 0.01, 0.001))
    ]
    assert measured == sorted(measured)
    assert measured[0][0] > 25
    assert measured[-1][0] > 60
    assert measured[0][1] < measured[-1][1] / 8


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint8", CUBE.shape), ("uint16", (9, 10, 13)), ("int16", (9, 10, 13)), ("float32", SMALL_VOLUME.shape)],
)
def test_dtype_and_shape_come_back(dtype: str, shape: Shape3, codec: nvc_jax.Codec) -> None:
    volume = SMALL_VOLUME[tuple(map(slice, shape))].astype(dtype)
    decoded, _ = round_trip(codec, volume, 0.002)
    assert decoded.dtype == volume.dtype
    assert decoded.shape == volume.shape
    assert psnr_db(volume, decoded) > 50


def test_the_smallest_step_is_near_exact(codec: nvc_jax.Codec) -> None:
    rng = np.random.default_rng(0)
    volume = rng.uniform(-3, 5, SMALL_VOLUME.shape).astype(np.float32)
    volume[:8] = np.where(rng.random(volume[:8].shape) < 0.5, -3, 5)  # the hardest edges there are
    decoded, _ = round_trip(codec, volume, encoded_stream.MIN_STEP)
    assert np.abs(decoded - volume).max() < 8 * 20 * encoded_stream.MIN_STEP


def test_constants_are_exact_and_small(codec: nvc_jax.Codec) -> None:
    volume = np.full(SMALL_VOLUME.shape, -3.25, np.float32)
    decoded, used = round_trip(codec, volume, 0.01)
    np.testing.assert_array_equal(decoded, volume)
    assert used < 12


def test_two_quantizers_take_fewer_bits_than_one(
    two_quantizers: nvc_jax.Codec, one_quantizer: nvc_jax.Codec
) -> None:
    """At equal PSNR, on the volume that both models are fitted to."""
    volume = read_volume(SAMPLE)[:48, :48, :48].astype(np.float32)

    def log_bits(codec: nvc_jax.Codec) -> np.ndarray:
        measured = [round_trip(codec, volume, step) for step in (0.12, 0.05, 0.02, 0.01)]
        qualities = [psnr_db(volume, decoded) for decoded, _ in measured]
        assert qualities[0] < 36
        assert qualities[-1] > 48
        return np.interp([36, 40, 44, 48], qualities, [np.log(used) for _, used in measured])

    assert np.mean(log_bits(two_quantizers) - log_bits(one_quantizer)) < np.log(0.985)


def encode_with(codec: nvc_jax.Codec, options: EncoderOptions) -> encoded_stream.EncodedStream:
    volume = jnp.asarray(CUBE)
    limits = jnp.float32(CUBE.min()), jnp.float32(CUBE.max())
    return encoder.encode(codec.params, volume, *limits, jnp.float32(0.02), options=options)


def test_default_options_are_those_of_the_codec(codec: nvc_jax.Codec) -> None:
    expected = encoded_stream.to_bytes(nvc_jax.encode_volume(codec, CUBE, step=0.02))
    assert encoded_stream.to_bytes(encode_with(codec, EncoderOptions())) == expected


def test_streams_of_all_options_decode(one_quantizer: nvc_jax.Codec) -> None:
    for options in (
        EncoderOptions(segment_lengths=(8,), filters=("none",)),
        EncoderOptions(segment_lengths=(8,)),
        EncoderOptions(filters=("biorthogonal",)),
        EncoderOptions(optimizes_integers=False),
    ):
        encoded = encode_with(one_quantizer, options)
        decoded = np.asarray(nvc_jax.decode_volume(one_quantizer, encoded))
        assert psnr_db(CUBE, decoded) > 40


def test_only_candidates_are_chosen(one_quantizer: nvc_jax.Codec) -> None:
    encoded = encode_with(one_quantizer, EncoderOptions(segment_lengths=(32,), filters=("orthonormal",)))
    assert [FILTERS[index] for index in encoded.transform.filters] == ["orthonormal"] * 3
    assert [SEGMENT_LENGTHS[index] for index in encoded.transform.lengths] == [32] * 3


@pytest.mark.parametrize("valid_shape", [(16, 24, 21), (3, 24, 21), (9, 2, 17)])
def test_chunks_between_others_decode(codec: nvc_jax.Codec, valid_shape: Shape3) -> None:
    """Also those with fewer voxels than are emphasised next to a boundary."""
    volume, valid = SMALL_VOLUME.astype(np.float32), tuple(map(slice, valid_shape))
    limits = jnp.float32(volume.min()), jnp.float32(volume.max())
    numbers = jnp.array(valid_shape, jnp.int32), jnp.int32(ALL_BOUNDARIES)
    other = np.full_like(volume, volume.min())
    other[valid] = volume[valid]
    for padded in (volume, other):
        encoded = encoder.encode(codec.params, jnp.asarray(padded), *limits, jnp.float32(0.002), *numbers)
        decoded = np.asarray(nvc_jax.decode_volume(codec, encoded))
        assert psnr_db(volume[valid], decoded[valid]) > 50


def test_means_of_long_segments_can_be_coded(codec: nvc_jax.Codec) -> None:
    volume = np.zeros((96, 96, 96), np.float32)
    volume[0, 0, 0] = 1
    limits = jnp.float32(0), jnp.float32(1), jnp.float32(encoded_stream.MIN_STEP)
    encoded = encoder.encode(codec.params, jnp.asarray(volume), *limits)
    decoded = np.asarray(nvc_jax.decode_volume(codec, encoded))
    assert np.abs(decoded - volume).max() < 8 * 20 * encoded_stream.MIN_STEP


def test_rounding_keeps_more_integers_than_optimizing(one_quantizer: nvc_jax.Codec) -> None:
    optimized, rounded = (
        encode_with(one_quantizer, EncoderOptions(optimizes_integers=optimizes))
        for optimizes in (True, False)
    )
    assert int(optimized.used_bytes) < int(rounded.used_bytes)


def test_models_of_two_quantizers_do_not_round(codec: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match="optimizes_integers"):
        encode_with(codec, EncoderOptions(optimizes_integers=False))
