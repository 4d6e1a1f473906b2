import numpy as np
import pytest
from example_chunks import exact_errors, in_dtype, smooth_values
from tiny_model.transform_coder import BlockMeanCoder

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.coded_body import TransformedChunk
from nvc_jax.chunks.preview import block_means
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import CODED_DTYPES

SHAPE, PADDED = (5, 12, 17), (8, 16, 24)
PARAMS = {"pattern": np.zeros((2, 2, 2), np.float32)}


def make_codec(dtype: str) -> TransformBodyCodec:
    return TransformBodyCodec(BlockMeanCoder(PARAMS, PADDED), PADDED, np.dtype(dtype))


def examine(dtype: str) -> ChunkValues:
    return ChunkValues.examine(in_dtype(smooth_values(SHAPE), dtype), ())


def encode(codec: TransformBodyCodec, chunk: ChunkValues, target: ChunkTarget) -> TransformedChunk | None:
    coded = codec.encode(chunk, target, boundaries=0)
    return None if coded is None else coded.complete()


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_readers_decode_what_the_encoder_states(dtype: str) -> None:
    chunk, codec = examine(dtype), make_codec(dtype)
    width = chunk.high - chunk.low
    for target in (ChunkTarget(None, 0.02 * width), ChunkTarget(0.1 * width, 0.1 * width)):
        coded = encode(codec, chunk, target)
        assert coded is not None
        assert bool(coded.correction) == (target.max_error is not None)
        decoded = codec.decode(coded.body, coded.correction, SHAPE)
        assert decoded.dtype == dtype
        np.testing.assert_array_equal(decoded, coded.decoded)
        if target.max_error is not None:
            errors = exact_errors(decoded, chunk.values)
            assert errors.max() <= target.max_error


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_values_without_a_correction_keep_the_limits_of_the_chunk(dtype: str) -> None:
    chunk, codec = examine(dtype), make_codec(dtype)
    coded = encode(codec, chunk, ChunkTarget(None, 0.5 * (chunk.high - chunk.low)))
    assert coded is not None
    limits = codec.limits(coded.body)
    assert limits in (None, (chunk.low, chunk.high))
    assert (limits is None) == (dtype in ("int32", "uint32", "int64", "uint64", "float64"))
    if limits is not None:
        decoded = codec.decode(coded.body, b"", SHAPE).astype(np.float64)
        assert limits[0] <= decoded.min() <= decoded.max() <= limits[1]


def test_gaps_do_not_change_the_range() -> None:
    values = in_dtype(smooth_values(SHAPE), "float32")
    values[2] = -1e30
    chunk, codec = ChunkValues.examine(values, (float(np.float32(-1e30)),)), make_codec("float32")
    coded = encode(codec, chunk, ChunkTarget(None, 1.0))
    assert coded is not None
    parsed = codec.parse(coded.body, SHAPE)
    assert (parsed.low, parsed.high) == (chunk.low, chunk.high)
    assert np.abs(coded.decoded - values)[chunk.valid].max() < 50


@pytest.mark.parametrize(
    "target",
    [ChunkTarget(None, None), ChunkTarget(None, 1e-9), ChunkTarget(1e-6, 1.0), ChunkTarget(1e-3, 1e-3)],
    ids=["no step", "step too small", "bound too tight", "too much to correct"],
)
def test_targets_beyond_the_transform_are_left_to_others(target: ChunkTarget) -> None:
    chunk = examine("float32")
    if target.max_error == 1e-3:  # noise, which means of blocks miss by nearly all of its range
        noise = np.random.default_rng(0).uniform(-1e30, 1e30, SHAPE).astype(np.float32)
        chunk, target = ChunkValues.examine(noise, ()), ChunkTarget(1e23, 1e23)
    assert encode(make_codec("float32"), chunk, target) is None


def test_previews_are_means_of_decoded_blocks() -> None:
    chunk, codec = examine("float64"), make_codec("float64")
    coded = encode(codec, chunk, ChunkTarget(None, 1.0))
    assert coded is not None
    preview = codec.decode_preview(coded.body, SHAPE, 8)
    assert preview.shape == (1, 2, 3)
    assert preview.dtype == np.float64
    whole_blocks = block_means(coded.decoded)[:, :1, :2]
    np.testing.assert_allclose(preview[:, :1, :2], whole_blocks, atol=30)


def test_damaged_bodies_are_errors() -> None:
    chunk, codec = examine("float32"), make_codec("float32")
    coded = encode(codec, chunk, ChunkTarget(None, 1.0))
    assert coded is not None
    low, high, step, stream = coded.body[:4], coded.body[4:8], coded.body[8:12], coded.body[12:]
    infinite = np.float32(np.inf).tobytes()
    for body, message in [
        (coded.body[:11], "lacks its header of 12"),
        (high + low + step + stream, "has the range"),
        (low + high + np.float32(3).tobytes() + stream, "and the step 3.0"),
        (low + infinite + step + stream, "has the range"),
        (coded.body[:-1], r"packed values|bytes do not hold"),
    ]:
        with pytest.raises(ValueError, match=message):
            codec.parse(body, SHAPE)
