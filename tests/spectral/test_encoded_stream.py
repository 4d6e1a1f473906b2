import jax
import numpy as np
import pytest
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral import encoded_stream
from nvc_jax.spectral.profiles import count_profiles

HEADER_BYTES = 14
AXIS_BYTE, PREDICTOR_BYTE, BOUNDARIES_BYTE, PROFILE_BYTE = 8, 11, 12, 13
"""Positions in a stream's header: of the length and filter of z, before those of y and x, and of the rest."""


def numbers_of(encoded: nvc_jax.EncodedStream) -> list[float]:
    """Minimum, maximum and step."""
    return [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]


def test_streams_round_trip_and_are_checked(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    payload, numbers = encoded_stream.to_bytes(encoded), numbers_of(encoded)
    restored = encoded_stream.from_bytes(payload, encoded.shape, encoded.dtype, *numbers, n_profiles=4)
    expected = np.asarray(nvc_jax.decode_volume(codec, encoded))
    np.testing.assert_array_equal(nvc_jax.decode_volume(codec, restored), expected)
    headers = (bytes(HEADER_BYTES), payload[:8] + b"\xff" * 6)
    for damaged in (b"", payload[:-1], payload + b"ab", *(head + payload[HEADER_BYTES:] for head in headers)):
        with pytest.raises(ValueError, match="header"):
            encoded_stream.from_bytes(damaged, encoded.shape, encoded.dtype, *numbers, n_profiles=4)


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


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (AXIS_BYTE, 5),
        (AXIS_BYTE + 1, 0x40),
        (AXIS_BYTE + 2, 0xF0),
        (PREDICTOR_BYTE, 8),
        (BOUNDARIES_BYTE, 64),
    ],
)
def test_choices_that_do_not_exist_are_refused(codec: nvc_jax.Codec, position: int, value: int) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME[:16, :16, :16], step=0.05)
    payload = bytearray(encoded_stream.to_bytes(encoded))
    payload[position] = value
    with pytest.raises(ValueError, match="header states lengths"):
        encoded_stream.from_bytes(
            bytes(payload), encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=4
        )


def test_headers_state_the_shape_of_the_transform(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.02)
    payload = encoded_stream.to_bytes(encoded)
    axes = payload[AXIS_BYTE : AXIS_BYTE + 3]
    np.testing.assert_array_equal([byte & 15 for byte in axes], encoded.transform.lengths)
    np.testing.assert_array_equal([byte >> 4 for byte in axes], encoded.transform.filters)
    restored = encoded_stream.from_bytes(
        payload, encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=4
    )
    jax.tree.map(np.testing.assert_array_equal, restored.transform, encoded.transform)


def test_rates_choose_profiles_and_streams_name_them(codec: nvc_jax.Codec) -> None:
    volume = read_volume(SAMPLE)[:32, :48, :32]
    profiles = []
    for step in (0.3, 0.05, 0.01, 0.002):
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        assert encoded_stream.to_bytes(encoded)[PROFILE_BYTE] == int(encoded.profile)
        profiles.append(int(encoded.profile))
    assert profiles == sorted(profiles)
    assert len(set(profiles)) > 1
