"""Errors next to chunk boundaries: smaller by pre-emphasis, except under a bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.payload import parse_payload
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.spectral import decoder, encoded_stream, encoder
from nvc_jax.spectral.transform_coder import SpectralTransformCoder
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES

CODEC = nvc_jax.load_codec("nvc-1")


def smooth(side: int) -> np.ndarray:
    """Noise without its high frequencies."""
    spectrum = np.fft.rfftn(np.random.default_rng(1).normal(size=(side,) * 3))
    axes = (np.fft.fftfreq(side), np.fft.fftfreq(side), np.fft.rfftfreq(side))
    squared = sum(f**2 for f in np.meshgrid(*axes, indexing="ij"))
    return np.fft.irfftn(spectrum / (1 + 2000 * squared) ** 1.5).astype(np.float32)


def test_errors_next_to_boundaries_are_smaller() -> None:
    """Compared with the error of the whole chunk."""
    volume = smooth(32)
    numbers = [jnp.float32(v) for v in (volume.min(), volume.max(), 0.03)]
    valid_shape = jnp.array(volume.shape, jnp.int32)
    ratios = []
    for boundaries in (0, ALL_BOUNDARIES):
        encoded = encoder.encode(CODEC.params, volume, *numbers, valid_shape, jnp.int32(boundaries))
        squared = (np.asarray(decoder.decode(CODEC.params, encoded)) - volume) ** 2
        is_next = np.ones(volume.shape, bool)
        is_next[1:-1, 1:-1, 1:-1] = False
        ratios.append(squared[is_next].mean() / squared.mean())
    assert ratios[1] < 0.8 * ratios[0], ratios


def test_boundaries_are_stored_and_bounds_have_none() -> None:
    volume, shape = smooth(16), (16, 16, 16)
    codec = ChunkCodec(SpectralTransformCoder(CODEC.params, shape), shape, volume.dtype)
    value_range = float(np.ptp(volume))
    bodies = [
        parse_payload(codec.encode(volume, target, boundaries=0b010010), volume.shape).body
        for target in (
            ChunkTarget(None, 0.05 * value_range),
            ChunkTarget(0.05 * value_range, 0.05 * value_range),
        )
    ]
    offset = 20 + 10  # range and step, then words, lanes, filter and predictor
    assert [body[offset] for body in bodies] == [0b010010, 0]


def test_streams_with_other_boundaries_are_refused() -> None:
    encoded = nvc_jax.encode_volume(CODEC, smooth(16), step=0.05)
    payload = bytearray(encoded_stream.to_bytes(encoded))
    payload[10] = ALL_BOUNDARIES + 1
    numbers = [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]
    with pytest.raises(ValueError, match="boundaries 0b1000000"):
        encoded_stream.from_bytes(bytes(payload), encoded.shape, encoded.dtype, *numbers, n_profiles=4)
