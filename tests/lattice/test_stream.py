import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_volumes import code_fixed

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.plan import MAX_FIXED, fix_volume
from nvc_jax.lattice.stream import decode_lattice

PADDED_SHAPE = (40, 32, 27)


def round_trip(fixed: np.ndarray, fraction_bits: int) -> bytes:
    stored, decoded = code_fixed(fixed, fraction_bits, PADDED_SHAPE)
    read, stated_bits = decode_lattice(stored, fixed.shape, PADDED_SHAPE)
    np.testing.assert_array_equal(read, decoded)
    assert stated_bits == fraction_bits
    assert decoded.dtype == np.int32
    assert np.abs(decoded - fixed).max() <= 1 << fraction_bits >> 1
    return stored


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 19),
    st.integers(0, 6),
    st.tuples(*(st.integers(1, side) for side in PADDED_SHAPE)),
    st.sampled_from(["noise", "walk", "rare", "blocks"]),
)
def test_any_integers_come_back_within_half_a_step(
    seed: int, n_bits: int, fraction_bits: int, shape: Shape3, kind: str
) -> None:
    rng, limit = np.random.default_rng(seed), min(2**n_bits, MAX_FIXED - 1)
    fixed = rng.integers(-limit, limit, shape, endpoint=True)
    if kind == "walk":
        fixed = np.clip(np.cumsum(fixed, axis=2), 1 - MAX_FIXED, MAX_FIXED - 1)
    elif kind == "rare":
        fixed = np.where(rng.random(shape) < 0.01, fixed, 3)
    elif kind == "blocks":
        fixed = fixed.flat[0] + fixed[::5, ::5, ::5].repeat(5, 0).repeat(5, 1).repeat(5, 2)
        fixed = np.clip(fixed[: shape[0], : shape[1], : shape[2]], 1 - MAX_FIXED, MAX_FIXED - 1)
    round_trip(fixed, fraction_bits)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_limits_come_back(sign: int) -> None:
    limit = sign * (MAX_FIXED - 1)
    round_trip(np.full((3, 2, 1), limit), 0)
    round_trip(np.where(np.arange(40 * 32 * 27).reshape(PADDED_SHAPE) % 3 == 0, limit, -limit), 6)
    with pytest.raises(ValueError, match="limits"):
        fix_volume(np.full((3, 2, 1), limit + sign), 0, PADDED_SHAPE)


def test_a_constant_volume_takes_next_to_nothing() -> None:
    assert len(round_trip(np.full(PADDED_SHAPE, 77), 4)) < 80


def test_noise_takes_its_entropy() -> None:
    noise = np.rint(np.random.default_rng(0).normal(0, 8, PADDED_SHAPE)).astype(np.int32)
    entropy = np.log2(8 * np.sqrt(2 * np.pi * np.e))
    assert 8 * len(round_trip(noise, 0)) < 1.1 * entropy * noise.size


STORED, _ = code_fixed(np.random.default_rng(0).integers(0, 99, PADDED_SHAPE), 2, PADDED_SHAPE)


@pytest.mark.parametrize("length", [0, 10, 19, 40, len(STORED) - 1])
def test_cut_streams_are_an_error(length: int) -> None:
    with pytest.raises(ValueError, match=r"lattice|cut short|contradicts its words"):
        decode_lattice(STORED[:length], PADDED_SHAPE, PADDED_SHAPE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(STORED) - 1), st.integers(1, 255))
def test_damaged_streams_decode_to_something_or_are_an_error(offset: int, change: int) -> None:
    damaged = bytearray(STORED)
    damaged[offset] ^= change
    try:
        decoded, _ = decode_lattice(bytes(damaged), PADDED_SHAPE, PADDED_SHAPE)
    except ValueError:
        return
    assert decoded.shape == PADDED_SHAPE
