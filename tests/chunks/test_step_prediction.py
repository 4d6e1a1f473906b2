import itertools

import numpy as np
import pytest
from example_chunks import smooth_values

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.step_prediction import (
    WEIGHTS_BYTES,
    pack_weights,
    predict_step,
    predict_values,
    smoothed_copies,
    unpack_weights,
)

SHAPE = (16, 8, 24)
BEFORE = smooth_values(SHAPE).astype(np.float32)


def test_copies_are_ever_smoother() -> None:
    copies = smoothed_copies(BEFORE)
    roughness = [float(np.abs(np.diff(copy, axis=2)).sum()) for copy in copies]
    assert roughness == sorted(roughness, reverse=True)
    assert all(copy.min() >= BEFORE.min() and copy.max() <= BEFORE.max() for copy in copies)
    flat = np.full(SHAPE, np.float32(3.25))
    assert all((copy == flat).all() for copy in smoothed_copies(flat))


def test_a_copy_is_the_one_before_it_smoothed_at_twice_the_distance() -> None:
    padded = np.pad(BEFORE.astype(np.float64), 7, mode="edge")
    for distance in (1, 2, 4):
        for axis in range(3):
            near = sum(np.roll(padded, move, axis) for move in (-distance, distance))
            padded = near / 4 + padded / 2
        copy = smoothed_copies(BEFORE)[distance.bit_length()]
        inside = tuple(slice(7, 7 + side) for side in SHAPE)
        # Beyond the ends the last values of this copy are repeated, not those of the first one.
        deep = tuple(slice(7, side - 7) if side > 14 else slice(0, 0) for side in SHAPE)
        np.testing.assert_allclose(copy[deep], padded[inside][deep], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "weights", [(0, 0, 0, 0), (63, 1, 0, 0), (16, 16, 16, 16), (0, 0, 0, 63), (1, 2, 3, 4)]
)
def test_weights_come_back(weights: tuple[int, ...]) -> None:
    assert len(pack_weights(weights)) == WEIGHTS_BYTES
    assert unpack_weights(pack_weights(weights)) == weights
    copies = smoothed_copies(BEFORE)
    expected = sum(weight / 64 * copy for weight, copy in zip(weights, copies, strict=True))
    predicted = predict_values(BEFORE, pack_weights(weights), SHAPE)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


@pytest.mark.parametrize("stored", [b"", b"\0\0", bytes(4), pack_weights((63, 2, 0, 0)), b"\xff\xff\xff"])
def test_other_weights_are_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="weights"):
        unpack_weights(stored)


def test_a_step_that_is_cut_off_is_extended_by_its_ends() -> None:
    part = BEFORE[:11, :7, :20]
    extended = np.pad(part, [(0, 5), (0, 1), (0, 4)], mode="edge")
    weights = pack_weights((10, 20, 30, 4))
    cut = predict_values(part, weights, SHAPE)
    np.testing.assert_array_equal(cut, predict_values(extended, weights, SHAPE)[:11, :7, :20])


def predict(values: np.ndarray, before: np.ndarray = BEFORE, reserve: float = 0.0) -> tuple[int, ...]:
    prediction = predict_step(before, ChunkValues.examine(values), SHAPE, reserve)
    return (0,) * 4 if prediction is None else unpack_weights(prediction.weights)


def test_weights_are_those_of_the_closest_prediction() -> None:
    for weights in [(40, 0, 0, 0), (20, 0, 30, 0), (0, 10, 0, 50), (0, 0, 0, 60)]:
        values = predict_values(BEFORE, pack_weights(weights), SHAPE) + np.float32(7)
        assert predict(values) == weights
    noise = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    found = np.array(predict(BEFORE + 0.3 * noise, BEFORE + noise))

    def error(weights: tuple[int, ...]) -> float:
        stored = pack_weights(weights)
        difference = BEFORE + np.float32(0.3) * noise - predict_values(BEFORE + noise, stored, SHAPE)
        return float(difference.var(dtype=np.float64))

    least = error(tuple(map(int, found)))
    for move in itertools.product((-1, 0, 1), repeat=4):
        near = found + np.array(move)
        if near.min() >= 0 and near.sum() <= 64 and near.max() < 64:
            assert error(tuple(map(int, near))) >= least * (1 - 1e-5)


def test_steps_of_which_the_one_before_tells_nothing_are_not_predicted() -> None:
    assert predict(-BEFORE) == (0, 0, 0, 0)
    assert predict(np.full(SHAPE, np.float32(2))) == (0, 0, 0, 0)
    assert predict(BEFORE, np.full(SHAPE, np.float32(2))) == (0, 0, 0, 0)
    huge = (BEFORE - np.float32(0.5)) * np.float32(3e38)
    assert sum(predict(huge, huge)) > 0
    tiny = BEFORE * np.float32(1e-42)
    assert sum(predict(tiny, tiny)) in range(65)


def test_values_that_are_not_valid_do_not_count() -> None:
    values = predict_values(BEFORE, pack_weights((20, 0, 30, 0)), SHAPE)
    values[2:5] = np.nan
    assert predict(values) == (20, 0, 30, 0)


def test_differences_between_readers_do_not_grow() -> None:
    prediction = predict_step(BEFORE, ChunkValues.examine(BEFORE[::-1] + BEFORE), SHAPE, 0.125)
    assert prediction is not None
    share = sum(unpack_weights(prediction.weights)) / 64
    assert share * 0.125 <= prediction.reserve <= share * 0.125 + 1e-5
    moved = BEFORE + np.random.default_rng(1).uniform(-0.125, 0.125, SHAPE).astype(np.float32)
    other = predict_values(moved, prediction.weights, SHAPE)
    assert np.abs(other - prediction.values).max() <= prediction.reserve
