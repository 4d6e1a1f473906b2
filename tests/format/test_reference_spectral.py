"""Spectral bodies of every shape of the transform are decoded as section 14 of ``FORMAT.md`` says.

A stream's integers do not depend on the shape, predictor and boundaries that its header states. So a test
encodes a chunk once and then states others.
"""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_golden import model_of
from reference_spectral import decode_preview, decode_spectral, decoding_reserve, parse_spectral_header

import nvc_jax
from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PADDED_SHAPE = (40, 24, 32)
STEP = 0.02
LOW, HIGH = -3.0, 3.0
TARGETS = ("one-quantizer", "max-error", "contexts", "headers")
"""Targets whose golden containers have different models."""

AXIS_BYTES = st.builds(lambda length, rest: length | rest << 3, st.integers(0, 4), st.integers(0, 31))
"""Byte of an axis in a stream's header: length, filter, boundaries and predictor."""
BOUNDARIES = 0x60
"""Bits of boundaries in the byte of an axis."""
DTYPE = np.dtype("float32")


@functools.cache
def coder_of(target: str) -> SpectralTransformCoder:
    return SpectralTransformCoder(params_of(target), PADDED_SHAPE)


@functools.cache
def params_of(target: str) -> dict:
    return dict(nvc_jax.load_codec(model_of(target)).params)


def encode(target: str, valid_shape: Shape3) -> bytes:
    """Encode a chunk: waves and noise."""
    z, y, x = np.indices(PADDED_SHAPE)
    noise = np.random.default_rng(0).normal(0, 0.2, PADDED_SHAPE)
    volume = np.clip(np.sin(z / 5) + np.cos(y / 3 + x / 7) + noise, LOW, HIGH).astype(np.float32)
    return coder_of(target).encode(volume, LOW, HIGH, STEP, valid_shape, 0)[0]


def valid_part(array: np.ndarray, valid_shape: Shape3) -> np.ndarray:
    return array[tuple(slice(0, side) for side in valid_shape)].astype(np.float64)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=30)
@given(
    valid_shape=st.tuples(*[st.integers(1, side) for side in PADDED_SHAPE]),
    stated=st.tuples(*[AXIS_BYTES] * 3),
)
def test_streams_of_all_shapes_decode_alike(target: str, valid_shape: Shape3, stated: tuple) -> None:
    stored = encode(target, valid_shape)
    stored = bytes(stated) + stored[3:]
    coder, params = coder_of(target), params_of(target)
    body = np.array([LOW, HIGH, STEP], DTYPE).tobytes() + stored
    reserve = decoding_reserve(parse_spectral_header(body, DTYPE, params["entropy"]))

    stream = coder.parse(stored, LOW, HIGH, STEP, valid_shape)
    exact = decode_spectral(body, DTYPE, valid_shape, PADDED_SHAPE, params)
    decoded = valid_part(coder.decode(stream), valid_shape)
    assert np.abs(decoded - exact).max() < reserve / 3

    # Previews are about right where writers may set the bits of boundaries.
    if not any(byte & BOUNDARIES for byte in stated):
        means = decode_preview(body, DTYPE, valid_shape, PADDED_SHAPE, params)
        grid = tuple(-(-side // 8) for side in valid_shape)
        assert np.abs(valid_part(coder.decode_preview(stream), grid) - means).max() < reserve


@pytest.mark.parametrize("target", TARGETS)
def test_boundaries_are_undone_in_previews(target: str) -> None:
    stored = encode(target, PADDED_SHAPE)
    stored = bytes(byte | BOUNDARIES for byte in stored[:3]) + stored[3:]
    stream = coder_of(target).parse(stored, LOW, HIGH, STEP, PADDED_SHAPE)
    body = np.array([LOW, HIGH, STEP], DTYPE).tobytes() + stored
    means = decode_preview(body, DTYPE, PADDED_SHAPE, PADDED_SHAPE, params_of(target))
    np.testing.assert_allclose(coder_of(target).decode_preview(stream), means, rtol=0, atol=1e-4)
