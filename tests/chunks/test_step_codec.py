from typing import Any

import numpy as np
import pytest
from compilations import compilations
from example_chunks import PADDED_SHAPE, exact_errors, in_dtype, smooth_values

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.encoding_batches import EncodingBatches
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.payload_codec import PayloadCodec
from nvc_jax.chunks.step_codec import StepCodec, make_payload_codec
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec("nvc-1").params
CODER = SpectralTransformCoder(PARAMS, PADDED_SHAPE)
SERIES = np.stack(
    [smooth_values(seed=0) * (1 - 0.02 * n) + 0.02 * smooth_values(seed=1) * n for n in range(4)]
)
TARGETS = {
    "step": ChunkTarget(None, 30.0),
    "fine step": ChunkTarget(None, 0.05),
    "bound": ChunkTarget(12.0, 30.0),
    "tight bound": ChunkTarget(0.003, 0.004),
    "lossless": ChunkTarget(0.0, None),
    "pointwise": ChunkTarget(None, 1.4, 0.01),
}


def codec_of(dtype: str | np.dtype = "float32", n_steps: int = 4, **options: Any) -> PayloadCodec:
    value_range = options.get("value_range")
    return make_payload_codec(CODER, PADDED_SHAPE, np.dtype(dtype), value_range, PADDED_SHAPE, n_steps)


def kinds_of(codec: PayloadCodec, payload: bytes) -> list[int]:
    return [step.kind for step in codec.parse(payload)]


def test_chunks_of_one_step_have_the_codec_of_chunks() -> None:
    assert isinstance(codec_of(n_steps=1), ChunkCodec)
    assert isinstance(codec_of(), StepCodec)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("shape", [PADDED_SHAPE, (17, 32, 3)])
def test_steps_keep_their_target(name: str, shape: tuple[int, ...]) -> None:
    target, codec = TARGETS[name], codec_of()
    values = in_dtype(SERIES, "float32")[:, : shape[0], : shape[1], : shape[2]]
    values[1:3, 2:5, :4] = np.nan
    payload = codec.encode(values, target)
    decoded = codec.decode(payload)
    valid = np.isfinite(values)
    assert (decoded.shape, decoded.dtype) == (values.shape, values.dtype)
    np.testing.assert_array_equal(np.isnan(decoded), ~valid)
    errors = exact_errors(values, decoded)[valid]
    stated = max(step.max_error for step in codec.parse(payload))
    assert errors.max() == pytest.approx(stated, abs=1e-6)
    if target.max_error is not None:
        assert errors.max() <= target.max_error
    if target.pointwise_error is not None:
        assert (errors <= target.pointwise_error * np.abs(values[valid])).all()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "bool"])
def test_dtypes_keep_their_bounds(name: str, dtype: str) -> None:
    target = TARGETS[name]
    if target.max_error is None:
        return
    codec, values = codec_of(dtype), in_dtype(SERIES[:2], dtype)
    decoded = codec.decode(codec.encode(values, target))
    assert exact_errors(values, decoded).max() <= target.max_error


def test_steps_that_are_like_those_before_are_predicted() -> None:
    codec, single = codec_of(), codec_of(n_steps=1)
    values = in_dtype(SERIES, "float32")
    payload = codec.encode(values, TARGETS["step"])
    alone = [single.encode(step, TARGETS["step"]) for step in values]
    assert kinds_of(codec, payload) == [PayloadKind.SPECTRAL] + 3 * [PayloadKind.PREDICTED]
    assert len(payload) < 0.9 * sum(map(len, alone))
    measured = codec.encode_and_measure(codec.prepare(values), 30.0)
    assert measured.stored == payload
    error = np.square(values.astype(np.float64) - codec.decode(payload)).sum()
    assert measured.squared_error * measured.unit**2 == pytest.approx(error, rel=1e-4)
    assert measured.n_valid == values.size


def test_bounded_steps_are_predicted_in_float32_alone() -> None:
    values = in_dtype(SERIES, "float32")
    codec, target = codec_of(), TARGETS["bound"]
    payload = codec.encode(values, target)
    assert kinds_of(codec, payload)[1:] == 3 * [PayloadKind.PREDICTED]
    assert exact_errors(values, codec.decode(payload)).max() <= 12
    for dtype in ("float16", "int32", "float64"):
        other = codec_of(dtype)
        kinds = kinds_of(other, other.encode(values.astype(dtype), target))
        assert PayloadKind.PREDICTED not in kinds


def test_steps_that_are_unlike_are_coded_as_they_are_alone() -> None:
    codec, single = codec_of(), codec_of(n_steps=1)
    rng = np.random.default_rng(0)
    values = rng.normal(0, 50, (3, *PADDED_SHAPE)).astype(np.float32)
    for target in TARGETS.values():
        payload = codec.encode(values, target)
        alone = [single.encode(step, target) for step in values]
        assert codec.parse(payload) == [step for one in alone for step in single.parse(one)]
        decoded = [single.decode(one) for one in alone]
        np.testing.assert_array_equal(codec.decode(payload), np.stack(decoded))


def test_missing_values_come_back_and_are_not_predicted_from() -> None:
    values = in_dtype(SERIES, "float32")
    values[0, :12] = values[2, 5:9] = -9999
    rules = ValueRange(float(values[values > -9999].min()), float(values.max()), (-9999.0,))
    codec = codec_of(value_range=rules)
    payload = codec.encode(values, TARGETS["step"])
    decoded = codec.decode(payload)
    np.testing.assert_array_equal(decoded == -9999, values == -9999)
    assert exact_errors(values, decoded).max() < 60
    assert PayloadKind.PREDICTED in kinds_of(codec, payload)


def test_chunks_may_have_fewer_steps_than_a_whole_one_but_not_more() -> None:
    codec, values = codec_of(n_steps=3), in_dtype(SERIES, "float32")
    for count in (1, 2, 3):
        assert codec.decode(codec.encode(values[:count], TARGETS["step"])).shape == (count, *PADDED_SHAPE)
    with pytest.raises(ValueError, match="4 steps; a whole chunk has 3"):
        codec.decode(codec_of(n_steps=4).encode(values, TARGETS["step"]))
    with pytest.raises(ValueError, match="of kind steps"):
        codec_of(n_steps=1).decode(codec.encode(values[:2], TARGETS["step"]))
    with pytest.raises(ValueError, match="several steps is of kind spectral"):
        codec.decode(codec_of(n_steps=1).encode(values[0], TARGETS["step"]))


@pytest.mark.parametrize("name", ["step", "fine step", "lossless"])
def test_previews_are_those_of_the_steps(name: str) -> None:
    codec, values = codec_of(), in_dtype(SERIES, "float32")
    means = values.reshape(4, 3, 8, 4, 8, 5, 8).mean(axis=(2, 4, 6))
    preview = codec.decode_preview(codec.encode(values, TARGETS[name]))
    assert (preview.shape, preview.dtype) == (means.shape, values.dtype)
    assert np.abs(preview - means).max() < 12


@pytest.mark.parametrize("name", ["step", "bound", "lossless"])
def test_chunks_of_a_batch_have_the_bytes_that_they_have_alone(name: str) -> None:
    codec, target = codec_of(), TARGETS[name]
    chunks = [in_dtype(SERIES[:3] ** power, "float32") for power in (1, 2, 3)]
    batches = EncodingBatches(codec, CODER, 3)

    def encode(values: np.ndarray, own: PayloadCodec) -> bytes:
        return own.encode(values, target)

    alone = [codec.encode(values, target) for values in chunks]
    assert list(batches.map_together(encode, chunks)) == alone


def test_programs_do_not_multiply_with_steps() -> None:
    values = in_dtype(SERIES, "float32")
    short, long = codec_of(n_steps=2), codec_of(n_steps=4)
    short.decode(short.encode(values[:2], TARGETS["step"]))
    assert not compilations(lambda: long.decode(long.encode(values, TARGETS["step"])))
