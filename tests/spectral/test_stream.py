import jax
import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral import stream
from nvc_jax.spectral.profiles import count_profiles

VOLUME = read_volume(SAMPLE)[:24, :40, 20:61]
PROFILE_BYTE = 11
"""Position of the profile in a stream's header."""


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.load_codec("nvc-1")


def numbers_of(encoded: nvc_jax.EncodedStream) -> list[float]:
    """Minimum, maximum and step."""
    return [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]


def test_payloads_round_trip_and_are_checked(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, VOLUME, step=0.02)
    payload, numbers = stream.to_bytes(encoded), numbers_of(encoded)
    restored = stream.from_bytes(payload, encoded.shape, encoded.dtype, *numbers, n_profiles=4)
    expected = np.asarray(nvc_jax.decode_volume(codec, encoded))
    np.testing.assert_array_equal(nvc_jax.decode_volume(codec, restored), expected)
    for damaged in (b"", payload[:-1], payload + b"ab", bytes(12) + payload[12:], payload[:8] + b"\xff" * 4):
        with pytest.raises(ValueError, match="payload"):
            stream.from_bytes(damaged, encoded.shape, encoded.dtype, *numbers, n_profiles=4)


def test_encoded_volumes_state_their_sizes(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, VOLUME, step=0.02)
    assert int(encoded.used_bytes) == len(stream.to_bytes(encoded)) - 12
    assert encoded.volume_bytes == VOLUME.nbytes


def test_payloads_of_other_profiles_are_refused(codec: nvc_jax.Codec) -> None:
    encoded = nvc_jax.encode_volume(codec, VOLUME[:16, :16, :16], step=0.05)
    payload = bytearray(stream.to_bytes(encoded))
    payload[PROFILE_BYTE] = n_profiles = count_profiles(codec.params["entropy"])
    with pytest.raises(ValueError, match=f"profile {n_profiles} of {n_profiles}"):
        stream.from_bytes(
            bytes(payload), encoded.shape, encoded.dtype, *numbers_of(encoded), n_profiles=n_profiles
        )


def test_rates_choose_profiles_and_streams_name_them(codec: nvc_jax.Codec) -> None:
    volume = read_volume(SAMPLE)[:32, :48, :32]
    profiles = []
    for step in (0.3, 0.05, 0.01, 0.002):
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        assert stream.to_bytes(encoded)[PROFILE_BYTE] == int(encoded.profile)
        profiles.append(int(encoded.profile))
    assert profiles == sorted(profiles)
    assert len(set(profiles)) > 1
