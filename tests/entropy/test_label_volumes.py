import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.label_volumes import decode_labels, encode_labels

PADDED = (24, 40, 24)
SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 40), st.integers(1, 24))


def round_trip(labels: np.ndarray, padded_shape: Shape3 = PADDED) -> bytes:
    stored = encode_labels(labels, padded_shape)
    decoded = decode_labels(stored, labels.shape, padded_shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, labels)
    return stored


def smooth_labels(shape: Shape3, n_labels: int, seed: int = 0) -> np.ndarray:
    """Labels in regions with smooth borders."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0, 6, 3)
    z, y, x = np.indices(shape)
    height = np.sin(z / 9 + phases[0]) + np.sin(y / 7 + phases[1]) + np.sin(x / 8 + phases[2])
    return np.floor((height + 3) / 6.01 * n_labels).astype(np.uint8)


@given(SHAPES, st.integers(1, 256), st.integers(0, 2**32 - 1))
def test_labels_without_any_order_come_back(shape: Shape3, n_labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.permutation(256).astype(np.uint8)
    labels = names[rng.integers(0, n_labels, shape)]
    stored = round_trip(labels)
    assert len(stored) < labels.size * 1.3 + 300


@given(SHAPES, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_regions_of_labels_come_back(shape: Shape3, n_labels: int, seed: int) -> None:
    round_trip(smooth_labels(shape, n_labels, seed))


def test_volumes_of_one_label_take_two_bytes() -> None:
    assert round_trip(np.full((7, 9, 20), 3, np.uint8)) == b"\0\x03"


@pytest.mark.parametrize("axis", range(3))
def test_slices_that_repeat_take_almost_nothing(axis: int) -> None:
    one = np.take(smooth_labels(PADDED, 2), [5], axis)
    repeated = np.repeat(one, PADDED[axis], axis)
    assert len(round_trip(repeated)) < len(round_trip(one)) + 24


def test_masks_with_smooth_borders_take_few_bytes() -> None:
    labels = smooth_labels((64, 64, 64), 2)
    n_border = sum(np.count_nonzero(np.diff(labels, axis=axis)) for axis in range(3)) / 3
    assert len(round_trip(labels, (64, 64, 64))) * 8 < 2 * n_border


@pytest.mark.parametrize("n_labels", [2, 5])
def test_damaged_labels_are_errors_or_other_labels(n_labels: int) -> None:
    labels = smooth_labels((20, 30, 17), n_labels)
    rng = np.random.default_rng(0)
    labels[rng.random(labels.shape) < 0.01] = n_labels - 1
    stored = encode_labels(labels, PADDED)
    for index in [*range(20), *rng.integers(20, len(stored), 40)]:
        damaged = bytearray(stored)
        damaged[index] ^= int(rng.integers(1, 256))
        try:
            assert decode_labels(bytes(damaged), labels.shape, PADDED).shape == labels.shape
        except ValueError:
            continue
    for length in range(0, len(stored), 7):
        with pytest.raises(ValueError, match=r"label|hold|cut short"):
            decode_labels(stored[:length], labels.shape, PADDED)


def test_bytes_beyond_the_labels_are_errors() -> None:
    for labels in (np.zeros((3, 4, 5), np.uint8), smooth_labels((20, 30, 17), 2)):
        with pytest.raises(ValueError, match="label"):
            decode_labels(encode_labels(labels, PADDED) + b"\0", labels.shape, PADDED)
