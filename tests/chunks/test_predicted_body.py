import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, in_dtype, smooth_values
from tiny_model.transform_coder import BlockMeanCoder

import nvc_jax
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.coded_body import CodedBody
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.predicted_body import PredictedBodyCodec, StepTransform
from nvc_jax.chunks.step_prediction import StepPrediction, predict_step
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import DearChunk
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

CODER = SpectralTransformCoder(nvc_jax.load_codec("nvc-1").params, PADDED_SHAPE)
VALUES = in_dtype(smooth_values(), "float32")
BEFORE = in_dtype(smooth_values(seed=0) * 0.95 + 0.05 * smooth_values(seed=1), "float32")
TARGETS = {
    "step": ChunkTarget(None, 20.0),
    "fine step": ChunkTarget(None, 1.0),
    "bound": ChunkTarget(0.8, 20.0),
}


def predict(values: np.ndarray, before: np.ndarray = BEFORE, reserve: float = 0.0) -> StepPrediction:
    prediction = predict_step(before, ChunkValues.examine(values), PADDED_SHAPE, reserve)
    assert prediction is not None
    return prediction


def encode(values: np.ndarray, prediction: StepPrediction, target: ChunkTarget) -> CodedBody:
    codec = PredictedBodyCodec(CODER, PADDED_SHAPE, values.dtype)
    coded = codec.encode(ChunkValues.examine(values), prediction, target, 0)
    assert isinstance(coded, CodedBody)
    return coded


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int16"])
def test_bodies_decode_to_what_the_encoder_says(name: str, dtype: str) -> None:
    values, before, target = VALUES.astype(dtype), BEFORE.astype(dtype), TARGETS[name]
    coded = encode(values, predict(values, before), target)
    completed = coded.complete()
    assert coded.kind == PayloadKind.PREDICTED
    assert completed is not None
    codec = PredictedBodyCodec(CODER, PADDED_SHAPE, values.dtype)
    decoded = codec.decode(completed.body, completed.correction, before)
    np.testing.assert_array_equal(decoded, completed.decoded)
    if target.max_error is not None:
        errors = np.abs(decoded.astype(np.float64) - values.astype(np.float64))
        assert errors.max() <= target.max_error
        assert completed.correction


def test_readers_whose_steps_before_differ_stay_within_the_reserve() -> None:
    codec = PredictedBodyCodec(CODER, PADDED_SHAPE, VALUES.dtype)
    prediction = predict(VALUES, reserve=0.5)
    body = encode(VALUES, prediction, TARGETS["bound"]).body
    reserve = codec.decoding_reserve(body, prediction)
    moved = BEFORE + np.random.default_rng(0).choice([-0.5, 0.5], PADDED_SHAPE).astype(np.float32)
    difference = np.abs(codec.decode(body, b"", moved) - codec.decode(body, b"", BEFORE))
    assert difference.max() <= reserve < 0.6
    completed = encode(VALUES, prediction, TARGETS["bound"]).complete()
    assert completed is not None
    for before in (BEFORE, moved):
        decoded = codec.decode(completed.body, completed.correction, before)
        assert np.abs(decoded - VALUES).max() <= 0.8


def test_bodies_of_wide_dtypes_are_refused() -> None:
    codec = PredictedBodyCodec(CODER, PADDED_SHAPE, np.dtype(np.float64))
    with pytest.raises(ValueError, match="a step of float64 is predicted"):
        codec.decode(bytes(40), b"", BEFORE.astype(np.float64))


@pytest.mark.parametrize("name", TARGETS)
def test_steps_are_coded_in_the_cheaper_way(name: str) -> None:
    target, plain = TARGETS[name], TransformBodyCodec(CODER, PADDED_SHAPE, VALUES.dtype)
    predicted = PredictedBodyCodec(CODER, PADDED_SHAPE, VALUES.dtype)
    chunk = ChunkValues.examine(VALUES)
    for before in (BEFORE, BEFORE + np.random.default_rng(0).normal(0, 300, PADDED_SHAPE).astype(np.float32)):
        prediction = predict(VALUES, before)
        transform = StepTransform(plain, predicted, prediction)
        coded = transform.encode(chunk, target, 0)
        assert isinstance(coded, CodedBody)
        others = [plain.encode(chunk, target, 0), predicted.encode(chunk, prediction, target, 0)]
        sizes = [len(one.body) for one in others if isinstance(one, CodedBody)]
        assert len(coded.body) in sizes
        assert len(coded.body) <= 1.1 * min(sizes)
        limited = transform.encode(chunk, target, 0, limit=-1.0)
        dears = [one.encode(chunk, target, 0, -1.0) for one in (plain,)]
        assert isinstance(limited, DearChunk)
        assert isinstance(dears[0], DearChunk)
        assert limited.cost <= dears[0].cost
    assert encode(VALUES, predict(VALUES), target).estimate is not None


def test_coders_without_estimates_are_compared_by_bytes() -> None:
    coder = BlockMeanCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, PADDED_SHAPE)
    plain = TransformBodyCodec(coder, PADDED_SHAPE, VALUES.dtype)
    predicted = PredictedBodyCodec(coder, PADDED_SHAPE, VALUES.dtype)
    transform = StepTransform(plain, predicted, predict(VALUES))
    coded = transform.encode(ChunkValues.examine(VALUES), TARGETS["step"], 0)
    assert isinstance(coded, CodedBody)
    assert coded.estimate is None
