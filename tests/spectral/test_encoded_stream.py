import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral import encoded_stream
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS
from nvc_jax.spectral.filter_setting import MAX_NOISE, MAX_STRENGTH, FilterSetting
from nvc_jax.spectral.profiles import count_profiles

HEADER_BYTES = 5
"""Bytes of the header of a stream of fewer than 128 lanes."""
PROFILE_BYTE = 3
"""Position in a stream's header, behind a byte for each axis."""


def numbers_of(encoded: nvc_jax.EncodedStream) -> list[float]:
    """Minimum, maximum and step."""
    return [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]


def test_streams_round_trip_and_are_checked(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    payload, numbers = encoded_stream.to_bytes(encoded), numbers_of(encoded)
    restored = encoded_stream.from_bytes(payload, encoded.shape, encoded.dtype, *numbers, n_profiles=4)
    expected = np.asarray(nvc_jax.decode_volume(codec, encoded))
    np.testing.assert_array_equal(nvc_jax.decode_volume(codec, restored), expected)
    headers = (bytes(HEADER_BYTES), b"\xff" * HEADER_BYTES)
    for damaged in (b"", payload[:4], payload[:-1], *(head + payload[HEADER_BYTES:] for head in headers)):
        with pytest.raises(ValueError, match="header"):
            encoded_stream.from_bytes(damaged, encoded.shape, encoded.dtype, *numbers, n_profiles=4)


def test_streams_state_the_setting_of_a_filter(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME[:16, :16, :16], step=0.02)
    setting = FilterSetting(np.int32(MAX_NOISE), np.int32(MAX_STRENGTH))
    payload = encoded_stream.to_bytes(dataclasses.replace(encoded, filter_setting=setting))
    plain, behind = encoded_stream.to_bytes(encoded), PROFILE_BYTE + 1
    assert payload == plain[:behind] + bytes(setting) + plain[behind:]
    read = functools.partial(
        encoded_stream.from_bytes, shape=encoded.shape, dtype=encoded.dtype, n_profiles=4, has_filter=True
    )
    numbers = dict(zip(("minimum", "maximum", "step"), numbers_of(encoded), strict=True))
    restored = read(payload, **numbers)
    assert restored.filter_setting == setting
    jax.tree.map(np.testing.assert_array_equal, restored.stream, encoded.stream)
    for position in (behind, behind + 1):
        damaged = bytearray(payload)
        damaged[position] += 1
        with pytest.raises(ValueError, match="header states the filter setting"):
            read(bytes(damaged), **numbers)
    with pytest.raises(ValueError, match="lacks its header"):
        read(payload[: behind + 2], **numbers)


def test_streams_of_a_batch_are_fetched_as_alone(codec: nvc_jax.Codec) -> None:
    encoded = [nvc_jax.encode_volume(codec, SMALL_VOLUME, step=step) for step in (0.5, 0.01, 0.1)]
    fetched = encoded_stream.fetch_batch(jax.tree.map(lambda *leaves: jnp.stack(leaves), *encoded))
    assert list(map(encoded_stream.to_bytes, fetched)) == list(map(encoded_stream.to_bytes, encoded))
    n_words = int(encoded[1].stream.group_words.sum())
    assert [one.stream.words.shape for one in fetched] == [(n_words,)] * 3  # of the longest


def test_encoded_volumes_state_their_sizes(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    assert int(encoded.used_bytes) == len(encoded_stream.to_bytes(encoded)) - HEADER_BYTES
    assert encoded.volume_bytes == SMALL_VOLUME.nbytes


def test_streams_of_other_profiles_are_refused(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME[:16, :16, :16], step=0.05)
    payload = bytearray(encoded_stream.to_bytes(encoded))
    payload[PROFILE_BYTE] = n_profiles = count_profiles(codec.params["entropy"])
    with pytest.raises(ValueError, match=f"profile {n_profiles} of {n_profiles}"):
        encoded_stream.from_bytes(
            bytes(payload), encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=n_profiles
        )


@pytest.mark.parametrize(("axis", "value"), [(0, 5), (1, 0xFE), (2, 7)])
def test_lengths_that_do_not_exist_are_refused(codec: nvc_jax.Codec, axis: int, value: int) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME[:16, :16, :16], step=0.05)
    payload = bytearray(encoded_stream.to_bytes(encoded))
    payload[axis] = value
    with pytest.raises(ValueError, match="header states lengths"):
        encoded_stream.from_bytes(
            bytes(payload), encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=4
        )


def test_headers_state_the_choices_of_each_axis(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    for predictor, boundaries in ((0, 0), (5, 0b100110), (7, 0b111111)):
        encoded = dataclasses.replace(encoded, predictor=np.int32(predictor), boundaries=np.int32(boundaries))
        payload = encoded_stream.to_bytes(encoded)
        axes = payload[:3]
        np.testing.assert_array_equal([byte & 7 for byte in axes], encoded.transform.lengths)
        np.testing.assert_array_equal([byte >> 3 & 3 for byte in axes], encoded.transform.filters)
        assert [byte >> 5 & 3 for byte in axes] == [boundaries >> 2 * axis & 3 for axis in range(3)]
        assert [byte >> 7 for byte in axes] == [axis in DC_PREDICTORS[predictor] for axis in range(3)]
        restored = encoded_stream.from_bytes(
            payload, encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=4
        )
        for name in ("transform", "predictor", "boundaries", "profile", "stream"):
            jax.tree.map(np.testing.assert_array_equal, getattr(restored, name), getattr(encoded, name))


def test_rates_choose_profiles_and_streams_name_them(codec: nvc_jax.Codec) -> None:
    volume = read_volume(SAMPLE)[:32, :32, :32]
    profiles = []
    for step in (0.3, 0.05, 0.01, 0.002):
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        assert encoded_stream.to_bytes(encoded)[PROFILE_BYTE] == int(encoded.profile)
        profiles.append(int(encoded.profile))
    assert profiles == sorted(profiles)
    assert len(set(profiles)) > 1
