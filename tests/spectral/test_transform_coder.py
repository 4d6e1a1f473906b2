import math
import re

import jax
import numpy as np
import pytest
from sample_volume import VOLUME

import nvc_jax
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk
from nvc_jax.core.compiler_options import on_one_core
from nvc_jax.native.library import load_kernels
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.decision_tables import prepare_tables
from nvc_jax.spectral.encoded_stream import MAX_STEP, MIN_STEP
from nvc_jax.spectral.post_filter import abstract_filter
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

VALUES = VOLUME[:16, :16, :24].astype(np.float32)
VALID_SHAPE = (13, 16, 21)
NUMBERS = (float(VALUES.min()), float(VALUES.max()), 0.02)
"""Values that count as 0 and as 1, and the step."""
VALID = tuple(map(slice, VALID_SHAPE))
MOST_IN_TURN = 8
"""Operations of a program up to which XLA runs them in turn."""
MOST_FLOPS = 1000
"""Operations on numbers, kernels left out, from which XLA gives a program to another thread."""
NAMES_ARRAYS = r" (parameter|constant|get-tuple-element|bitcast|tuple)\("


@pytest.fixture(scope="module")
def coder(codec: nvc_jax.Codec) -> SpectralTransformCoder:
    return SpectralTransformCoder(codec.params, VALUES.shape)


def test_streams_decode_to_the_reconstruction_of_the_encoder(coder: SpectralTransformCoder) -> None:
    stored, reconstruct = coder.encode(VALUES, *NUMBERS, VALID_SHAPE, 0)
    decoded = coder.decode(coder.parse(stored, *NUMBERS, VALID_SHAPE))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, reconstruct())
    low, high, _ = NUMBERS
    assert np.abs(decoded - VALUES)[VALID].max() < 0.1 * (high - low)


@pytest.mark.skipif(load_kernels() is not None, reason="without kernels, programs have many operations")
def test_programs_that_decode_run_in_the_thread_that_calls_them(
    codec: nvc_jax.Codec, coder: SpectralTransformCoder
) -> None:
    """XLA starts programs of up to eight operations there, one after the other: threads do not wait."""
    stored, _ = coder.encode(VALUES, *NUMBERS, VALID_SHAPE, 0)
    stream = coder.parse(stored, *NUMBERS, VALID_SHAPE)
    arguments = (codec.params, stream)
    symbols = jax.eval_shape(decoder.decode_symbols, *arguments)
    for function, inputs in (
        (decoder.decode_symbols, arguments),
        (decoder.reconstruct, (*arguments, symbols)),
    ):
        compiled = jax.jit(function, compiler_options=on_one_core()).lower(*inputs).compile()
        assert 0 < count_operations(compiled.as_text() or "") <= MOST_IN_TURN


@pytest.mark.skipif(load_kernels() is not None, reason="without kernels, programs compute by themselves")
def test_the_program_that_encodes_runs_in_the_thread_that_calls_it(codec: nvc_jax.Codec) -> None:
    """XLA starts a program there that computes next to nothing but in kernels; then threads do not wait."""
    chunk = (VALUES, *map(np.float32, NUMBERS), np.array(VALID_SHAPE, np.int32), np.int32(0), np.float32(0))
    tables = jax.eval_shape(prepare_tables, codec.params["entropy"])
    encode = jax.jit(encoder.encode_below, compiler_options=on_one_core())
    compiled = encode.lower(codec.params, *chunk, np.bool_(False), prepared=tables).compile()
    analysis = compiled.cost_analysis()
    assert analysis is not None
    assert analysis["flops"] < MOST_FLOPS


def count_operations(compiled: str) -> int:
    """Count the operations of a compiled program, those that only name arrays left out."""
    _, entry = compiled.split("\nENTRY ")
    lines = entry.split("\n}")[0].splitlines()[1:]
    return sum(re.search(NAMES_ARRAYS, line) is None for line in lines if " = " in line)


def test_chunks_that_cost_more_than_a_limit_are_not_encoded(coder: SpectralTransformCoder) -> None:
    dear = coder.encode_below(ChunkToEncode(0.0, VALUES, *NUMBERS, VALID_SHAPE, 0))
    assert isinstance(dear, DearChunk)
    stored, _ = coder.encode(VALUES, *NUMBERS, VALID_SHAPE, 0)
    assert 4 * len(stored) < dear.cost < 32 * len(stored)
    encoded = coder.encode_below(ChunkToEncode(dear.cost, VALUES, *NUMBERS, VALID_SHAPE, 0))
    assert not isinstance(encoded, DearChunk)
    assert (encoded.stored, encoded.cost) == (stored, dear.cost)
    unlimited = coder.encode_below(ChunkToEncode(math.nan, VALUES, *NUMBERS, VALID_SHAPE, 0))
    assert not isinstance(unlimited, DearChunk)
    assert unlimited[0] == stored
    assert coder.encode_below(ChunkToEncode(0.99 * dear.cost, VALUES, *NUMBERS, VALID_SHAPE, 0)) == dear


def test_streams_of_a_batch_are_those_of_chunks_alone(coder: SpectralTransformCoder) -> None:
    dear = coder.encode_below(ChunkToEncode(0.0, VALUES, *NUMBERS, VALID_SHAPE, 0))
    assert isinstance(dear, DearChunk)
    flipped = np.ascontiguousarray(VALUES[::-1])
    chunks = [
        ChunkToEncode(math.inf, VALUES, *NUMBERS, VALID_SHAPE, 0),
        ChunkToEncode(0.99 * dear.cost, VALUES, *NUMBERS, VALID_SHAPE, 0),
        ChunkToEncode(dear.cost, VALUES, *NUMBERS, VALID_SHAPE, 0),
        ChunkToEncode(math.inf, flipped, *NUMBERS[:2], 0.3, (16, 1, 9), 21),
        ChunkToEncode(math.nan, flipped, *NUMBERS[:2], 2e-3, (16, 16, 24), 63),
    ]
    coded = coder.encode_batch(chunks)
    assert coded[1] == dear
    assert all(isinstance(one, bytes) for one in coded[2:])
    alone = [coder.encode_below(chunk) for chunk in chunks]
    assert coded == [one if isinstance(one, DearChunk) else one[0] for one in alone]
    assert [coder.encode_batch([chunk])[0] for chunk in chunks[:2]] == coded[:2]


def test_streams_of_a_batch_decode_as_alone(coder: SpectralTransformCoder) -> None:
    streams = []
    for step in (0.01, 0.1):
        numbers = (*NUMBERS[:2], step)
        stored, _ = coder.encode(VALUES, *numbers, VALID_SHAPE, 0)
        streams.append(coder.parse(stored, *numbers, VALID_SHAPE))
    batch = coder.decode_batch(streams)
    assert batch.shape == (2, *VALUES.shape)
    for stream, decoded in zip(streams, batch, strict=True):
        np.testing.assert_allclose(
            decoded[VALID], coder.decode(stream)[VALID], atol=2 * coder.decoding_reserve(*NUMBERS)
        )


@pytest.fixture(scope="module")
def filtering(codec: nvc_jax.Codec) -> SpectralTransformCoder:
    """A coder whose network takes the mean of the voxels around for the better value."""
    network = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), abstract_filter(2)["filter"])
    n_neighbours = 26
    network["first_weights"][:, :n_neighbours] = np.array([[1], [-1]]) / n_neighbours
    network["second_weights"][:] = np.eye(2)
    network["last_weights"][:] = [1, -1]
    return SpectralTransformCoder({**codec.params, "filter": network}, VALUES.shape)


def test_a_filter_makes_errors_smaller_unless_there_is_a_bound(
    coder: SpectralTransformCoder, filtering: SpectralTransformCoder
) -> None:
    numbers = (*NUMBERS[:2], 0.3)
    plain, reconstruct = coder.encode(VALUES, *numbers, VALID_SHAPE, 0)
    errors = []
    for is_bounded in (False, True):
        encoded = filtering.encode_below(
            ChunkToEncode(math.inf, VALUES, *numbers, VALID_SHAPE, 0, is_bounded=is_bounded)
        )
        assert not isinstance(encoded, DearChunk)
        stored, reconstruct_filtered, _ = encoded
        assert stored[:4] + stored[6:] == plain
        assert (stored[5] == 0) == is_bounded
        decoded = filtering.decode(filtering.parse(stored, *numbers, VALID_SHAPE))
        np.testing.assert_array_equal(decoded[VALID], reconstruct_filtered()[VALID])
        errors.append(float(np.square(decoded - VALUES)[VALID].mean()))
    np.testing.assert_array_equal(decoded, reconstruct())
    assert errors[0] < errors[1]
    assert filtering.decoding_bytes - coder.decoding_bytes == 10 * VALUES.nbytes
    assert filtering.encoding_bytes - coder.encoding_bytes == 10 * VALUES.nbytes


def test_filtered_streams_of_a_batch_are_those_of_chunks_alone(filtering: SpectralTransformCoder) -> None:
    chunks = [
        ChunkToEncode(math.inf, VALUES, *NUMBERS[:2], step, VALID_SHAPE, 0, is_bounded=is_bounded)
        for step, is_bounded in ((0.3, False), (0.3, True), (0.02, False))
    ]
    coded = filtering.encode_batch(chunks)
    streams = []
    for chunk, stored in zip(chunks, coded, strict=True):
        alone = filtering.encode_below(chunk)
        assert not isinstance(alone, DearChunk)
        assert stored == alone[0]
        streams.append(filtering.parse(stored, *NUMBERS[:2], chunk.step, VALID_SHAPE))
    for stream, decoded in zip(streams, filtering.decode_batch(streams), strict=True):
        expected = filtering.decode(stream)[VALID]
        np.testing.assert_allclose(decoded[VALID], expected, atol=1e-4 * float(np.ptp(VALUES)))


def test_previews_are_near_the_means_of_blocks(coder: SpectralTransformCoder) -> None:
    stored, _ = coder.encode(VALUES, *NUMBERS, VALUES.shape, 0)
    preview = coder.decode_preview(coder.parse(stored, *NUMBERS, VALUES.shape))
    means = VALUES.reshape(2, 8, 2, 8, 3, 8).mean(axis=(1, 3, 5))
    assert np.abs(preview - means).max() < 0.15 * np.ptp(VALUES)


def test_damaged_bytes_are_refused(coder: SpectralTransformCoder) -> None:
    stored, _ = coder.encode(VALUES, *NUMBERS, VALID_SHAPE, 0)
    for damaged in (b"", stored[:4], stored[:-1]):
        with pytest.raises(ValueError, match=r"stream|payload"):
            coder.parse(damaged, *NUMBERS, VALID_SHAPE)


def test_the_reserve_grows_with_the_range_the_step_and_the_offset(coder: SpectralTransformCoder) -> None:
    reserve = coder.decoding_reserve(0.0, 1.0, 0.1)
    assert 0 < reserve < 1e-3 * 0.1
    assert coder.decoding_reserve(0.0, 3.0, 0.1) == pytest.approx(3 * reserve)
    assert coder.decoding_reserve(0.0, 1.0, 0.2) > reserve
    assert coder.decoding_reserve(5.0, 6.0, 0.1) > reserve
    assert coder.decoding_reserve(-6.0, -5.0, 0.1) == coder.decoding_reserve(5.0, 6.0, 0.1)


def test_steps_at_the_limits_are_coded(coder: SpectralTransformCoder) -> None:
    assert coder.step_limits == (MIN_STEP, MAX_STEP)
    for step in coder.step_limits:
        stored, reconstruct = coder.encode(VALUES, *NUMBERS[:2], step, VALID_SHAPE, 0)
        decoded = coder.decode(coder.parse(stored, *NUMBERS[:2], step, VALID_SHAPE))
        np.testing.assert_array_equal(decoded, reconstruct())


def test_a_model_whose_parameters_were_replaced_decides_by_the_new_ones(codec: nvc_jax.Codec) -> None:
    entropy = dict(codec.params["entropy"])
    coded = []
    for factor in (1, 4):
        entropy["bits"] = codec.params["entropy"]["bits"] * np.float32(factor)
        for params in ({"entropy": entropy}, {"entropy": dict(entropy)}):
            coder = SpectralTransformCoder(params, VALUES.shape)
            coded.append(coder.encode(VALUES, *NUMBERS, VALID_SHAPE, 0)[0])
    assert coded[0] == coded[1] != coded[2] == coded[3]
