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
TARGETS = ("one-quantizer", "max-error")
"""Targets whose golden containers have different models."""

header_bytes = st.tuples(
    *[st.builds(lambda length, filter_: length | filter_ << 4, st.integers(0, 4), st.integers(0, 3))] * 3,
    st.integers(0, 7),
    st.integers(0, 63),
)
"""Shape, predictor and boundaries of a stream's header."""


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
@given(valid_shape=st.tuples(*[st.integers(1, side) for side in PADDED_SHAPE]), stated=header_bytes)
def test_streams_of_all_shapes_decode_alike(target: str, valid_shape: Shape3, stated: tuple) -> None:
    stored = encode(target, valid_shape)
    stored = stored[:8] + bytes(stated) + stored[13:]
    coder, params = coder_of(target), params_of(target)
    body = np.array([LOW, HIGH]).tobytes() + np.float32(STEP).tobytes() + stored
    reserve = decoding_reserve(parse_spectral_header(body, params["entropy"], is_wide=False))

    stream = coder.parse(stored, LOW, HIGH, STEP, valid_shape)
    exact = decode_spectral(body, valid_shape, PADDED_SHAPE, params, is_wide=False)
    decoded = valid_part(coder.decode(stream), valid_shape)
    assert np.abs(decoded - exact).max() < reserve / 3

    # Previews are about right where writers may set the bits of boundaries.
    if stated[4] == 0:
        means = decode_preview(body, valid_shape, PADDED_SHAPE, params, is_wide=False)
        grid = tuple(-(-side // 8) for side in valid_shape)
        assert np.abs(valid_part(coder.decode_preview(stream), grid) - means).max() < reserve


@pytest.mark.parametrize("target", TARGETS)
def test_boundaries_are_undone_in_previews(target: str) -> None:
    stored = encode(target, PADDED_SHAPE)
    stored = stored[:12] + b"\x3f" + stored[13:]
    stream = coder_of(target).parse(stored, LOW, HIGH, STEP, PADDED_SHAPE)
    body = np.array([LOW, HIGH]).tobytes() + np.float32(STEP).tobytes() + stored
    means = decode_preview(body, PADDED_SHAPE, PADDED_SHAPE, params_of(target), is_wide=False)
    np.testing.assert_allclose(coder_of(target).decode_preview(stream), means, rtol=0, atol=1e-4)
