import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_volumes import code_values

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.plan import plan_stream
from nvc_jax.lattice.values import decode_values, fix_values

PADDED_SHAPE = (20, 32, 27)


def volume(rng: np.random.Generator, shape: Shape3, kind: str) -> np.ndarray:
    """Make a volume of values about 0 … 1."""
    z, y, x = np.indices(shape)
    if kind == "noise":
        return rng.random(shape)
    if kind == "smooth":
        return np.sin(z / 9) * np.cos(y / 7 + x / 11)
    if kind == "levels":
        return (np.hypot(z - 8, y - 9) + x > 20).astype(float)
    return np.where(rng.random(shape) < 0.01, 1.0, 0.0)


KINDS = st.sampled_from(["noise", "smooth", "levels", "rare"])
SHAPES = st.tuples(*(st.integers(1, side) for side in PADDED_SHAPE))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), SHAPES, KINDS, st.floats(-4, -0.2), st.sampled_from(["f2", "f4", "f8"]))
def test_floats_keep_the_bound(seed: int, shape: Shape3, kind: str, exponent: float, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    values = (volume(rng, shape, kind) * 100 - 30).astype(dtype)
    max_error = 100 * 10.0 ** (exponent if dtype != "f2" else max(exponent, -2.5))
    stored, known = code_values(values, max_error, PADDED_SHAPE)
    decoded = decode_values(stored, shape, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded, known)
    assert decoded.dtype == known.dtype == values.dtype
    assert np.abs(decoded.astype(float) - values.astype(float)).max() <= max_error


@given(st.integers(0, 2**32 - 1), SHAPES, KINDS, st.floats(-5, -0.2), st.sampled_from([0, 3]))
def test_floats_are_planned_as_their_lattice_is(
    seed: int, shape: Shape3, kind: str, exponent: float, thinning: int
) -> None:
    rng = np.random.default_rng(seed)
    values, valid = volume(rng, shape, kind).astype(np.float32), rng.random(shape) < 0.9
    fixed = fix_values(values, 10.0**exponent, PADDED_SHAPE, valid).volume
    own, expected = (plan_stream(of, thinning) for of in (fixed, dataclasses.replace(fixed, floats=None)))
    for of_floats, of_lattice in zip(own.counts, expected.counts, strict=True):
        np.testing.assert_array_equal(of_floats, of_lattice)
    for of_floats, of_lattice in zip(own.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(of_floats, of_lattice)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    SHAPES,
    KINDS,
    st.floats(0, 300),
    st.sampled_from(["u1", "i1", "u2", "i2", "i4", "u4", "i8"]),
)
def test_integers_keep_the_bound(seed: int, shape: Shape3, kind: str, max_error: float, dtype: str) -> None:
    rng, limits = np.random.default_rng(seed), np.iinfo(dtype)
    span = min(limits.max - limits.min, 500_000)
    values = np.clip(volume(rng, shape, kind), 0, 1) * span + limits.min // 2 * (span == 500_000)
    values = (
        np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
        if dtype != "i8"
        else values.astype(np.int64) // 10**6
    )
    stored, known = code_values(values, max_error, PADDED_SHAPE)
    decoded = decode_values(stored, shape, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded, known)
    assert decoded.dtype == known.dtype == values.dtype
    assert np.abs(decoded.astype(np.int64) - values.astype(np.int64)).max() <= max_error


def test_a_bound_below_one_keeps_integers() -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, PADDED_SHAPE).astype(np.int16)
    for max_error in (0, 0.9):
        stored, _ = code_values(values, max_error, PADDED_SHAPE)
        np.testing.assert_array_equal(decode_values(stored, PADDED_SHAPE, PADDED_SHAPE, values.dtype), values)


def test_bounds_that_are_too_tight_are_an_error() -> None:
    values = np.random.default_rng(0).random(PADDED_SHAPE).astype(np.float32)
    for max_error in (0.0, 1e-9, 1e-7):
        with pytest.raises(ValueError, match="too tight"):
            code_values(values, max_error, PADDED_SHAPE)
    with pytest.raises(ValueError, match="too tight"):
        code_values((values * 2**30).astype(np.int32), 1, PADDED_SHAPE)


def test_impossible_headers_are_an_error() -> None:
    values = np.random.default_rng(0).random(PADDED_SHAPE).astype(np.float32)
    stored, _ = code_values(values, 0.01, PADDED_SHAPE)
    for damaged in (
        b"",
        stored[:12],
        stored[:4] + np.array([np.nan]).tobytes() + stored[12:],
        stored[:12] + b"\xff" * 4 + stored[16:],
    ):
        with pytest.raises(ValueError, match=r"lattice|cut short|begins at"):
            decode_values(damaged, PADDED_SHAPE, PADDED_SHAPE, values.dtype)
