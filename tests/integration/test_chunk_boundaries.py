"""Errors next to chunk boundaries: smaller by pre-emphasis, except under a bound."""

import jax.numpy as jnp
import numpy as np

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.payload import PayloadKind, parse_payload
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.spectral import decoder, encoder
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
    shape = (32, 32, 32)
    z, y, x = np.indices(shape)
    # Waves, for which the transform is chosen under both targets.
    volume = (np.sin(1.1 * z + 0.3 * y) + np.sin(0.9 * y + 0.5 * x) + np.cos(1.3 * x)).astype(np.float32)
    coder = SpectralTransformCoder(CODEC.params, shape)
    codec = ChunkCodec(coder, shape, volume.dtype)
    bodies = TransformBodyCodec(coder, shape, volume.dtype)
    value_range = float(np.ptp(volume))
    stored = []
    for max_error in (None, 0.05 * value_range):
        target = ChunkTarget(max_error, 0.05 * value_range)
        payload = parse_payload(codec.encode(volume, target, boundaries=0b010010), shape)
        assert payload.kind == PayloadKind.SPECTRAL
        stored.append(int(bodies.parse(payload.body, shape).stream.boundaries))
    assert stored == [0b010010, 0]
