import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import lorenzo

PADDED_SHAPE = (9, 8, 12)


def round_trip(integers: np.ndarray, padded_shape: Shape3 = PADDED_SHAPE) -> bytes:
    stored = lorenzo.encode_integers(integers, padded_shape)
    decoded = lorenzo.decode_integers(stored, integers.shape, padded_shape)
    assert decoded.dtype == np.int64
    np.testing.assert_array_equal(decoded, integers)
    return stored


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 62),
    st.integers(0, 40),
    st.tuples(*(st.integers(1, side) for side in PADDED_SHAPE)),
    st.sampled_from(["noise", "walk", "rare", "smooth"]),
)
def test_any_integers_come_back(seed: int, n_bits: int, shift: int, shape: Shape3, kind: str) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-(2**n_bits), 2**n_bits, shape, endpoint=True)
    if kind == "walk":
        integers = np.cumsum(integers, axis=2)
    elif kind == "rare":
        integers = np.where(rng.random(shape) < 0.1, integers, 3)
    elif kind == "smooth":
        integers = np.add.reduce(np.indices(shape)) * np.int64(2**n_bits // 64)
    round_trip(integers << shift)


def test_the_limits_of_int64_come_back() -> None:
    limits = np.iinfo(np.int64)
    round_trip(np.array([limits.min, limits.max, 0, -1, 1, limits.min]).reshape(1, 1, 6))
    round_trip(np.full((2, 2, 2), limits.min))


def test_smooth_integers_take_few_bits() -> None:
    z, y, x = np.indices((64, 64, 64))
    plane = (300 * z + 200 * y - 100 * x).astype(np.int64)
    assert 8 * len(round_trip(plane, (64, 64, 64))) < plane.size  # nothing but boundaries is not zero
    wave = np.rint(1000 * np.sin(z / 9) * np.cos(y / 7 + x / 11)).astype(np.int64)
    assert 8 * len(round_trip(wave, (64, 64, 64))) < 4 * wave.size


def test_noise_takes_its_entropy() -> None:
    noise = np.rint(np.random.default_rng(0).normal(0, 8, (64, 64, 64))).astype(np.int64)
    entropy = np.log2(8 * np.sqrt(2 * np.pi * np.e))
    assert 8 * len(round_trip(noise, (64, 64, 64))) < 1.05 * entropy * noise.size


def test_low_bits_that_are_noise_cost_little_more_than_their_number() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2**40, (16, 16, 16))
    assert len(round_trip(noise, (16, 16, 16))) < 1.1 * 41 / 8 * noise.size


def test_the_estimate_is_near_what_is_stored() -> None:
    rng = np.random.default_rng(0)
    for scale in (2, 30, 1000):
        integers = np.cumsum(np.rint(rng.normal(0, scale, (32, 32, 32))).astype(np.int64), axis=2)
        bits = 8 * len(lorenzo.encode_integers(integers, (32, 32, 32))) / integers.size
        assert 0.7 * bits < lorenzo.estimate_bits(integers) < 1.3 * bits


@pytest.fixture(scope="module")
def stored() -> bytes:
    return lorenzo.encode_integers(np.random.default_rng(0).integers(0, 2**35, PADDED_SHAPE), PADDED_SHAPE)


@pytest.mark.parametrize("length", [0, 10, -1])
def test_cut_integers_are_an_error(length: int, stored: bytes) -> None:
    with pytest.raises(ValueError, match=r"coded integers|contradicts"):
        lorenzo.decode_integers(stored[:length], PADDED_SHAPE, PADDED_SHAPE)


@pytest.mark.parametrize(("offset", "value"), [(0, 200), (1, 64), (2, 64), (3, 99)])
def test_impossible_headers_are_an_error(offset: int, value: int, stored: bytes) -> None:
    damaged = stored[:offset] + bytes([value]) + stored[offset + 1 :]
    with pytest.raises(ValueError, match="coded integers"):
        lorenzo.decode_integers(damaged, PADDED_SHAPE, PADDED_SHAPE)


def test_impossible_lanes_are_an_error(stored: bytes) -> None:
    damaged = stored[:12] + b"\x7f" + stored[13:]
    with pytest.raises(ValueError, match="states 127 lanes"):
        lorenzo.decode_integers(damaged, PADDED_SHAPE, PADDED_SHAPE)


def test_a_difference_without_a_magnitude_comes_back() -> None:
    """The magnitude of −2**63 is beyond int64."""
    integers = np.zeros(PADDED_SHAPE, np.int64)
    integers[3, 4, 5] = -(2**63)
    integers[5, 1, 2] = 3
    round_trip(integers)
