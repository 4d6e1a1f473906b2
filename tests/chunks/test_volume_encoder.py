import math
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from example_chunks import smooth_values
from tiny_model.transform_coder import BlockMeanCoder

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.payload import PayloadKind, parse_payload
from nvc_jax.chunks.transform_coder import ChunkToEncode, CodedChunk, DearChunk
from nvc_jax.chunks.value_range import find_value_range
from nvc_jax.chunks.volume_encoder import VolumeEncoder
from nvc_jax.core.chunk_grid import Region, chunk_regions, first_voxel
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.errors import psnr_from_errors, squared_errors

SHAPE, CHUNK = (21, 30, 43), (16, 16, 24)
VALUES = (300 * smooth_values(SHAPE) - 100).astype(np.float32)
VALUES[3:6, :9] = -9999
VALUE_RANGE = find_value_range([VALUES], [-9999])
CODER = BlockMeanCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, CHUNK)


class CountingCoder(BlockMeanCoder):
    """A coder that counts the chunks that it encodes."""

    n_encoded = 0

    def encode(self, *arguments: Any) -> Any:
        self.n_encoded += 1
        return super().encode(*arguments)


def make_encoder(values: np.ndarray = VALUES, value_range: ValueRange = VALUE_RANGE) -> VolumeEncoder:
    return VolumeEncoder(CODER, ts.array(values), CHUNK, value_range)


def test_targets_become_bounds_and_steps_in_the_units_of_the_volume() -> None:
    encoder = make_encoder()
    assert encoder.resolve({"step": 0.02}) == ChunkTarget(None, 0.02 * VALUE_RANGE.width)
    assert encoder.resolve({"lossless": True}) == ChunkTarget(0.0, None)
    absolute = encoder.resolve({"max_error": 3.0})
    relative = encoder.resolve({"relative_error": 0.01})
    assert absolute.max_error == 3.0
    assert relative.max_error == 0.01 * VALUE_RANGE.width
    pointwise = encoder.resolve({"pointwise_error": 0.01})
    assert (pointwise.max_error, pointwise.pointwise_error) == (None, 0.01)
    assert pointwise.is_bounded
    assert pointwise.step is not None
    assert 0.8 <= pointwise.step <= 3.4
    for target in (absolute, relative):
        assert target.max_error is not None
        assert target.step is not None
        assert 0.8 <= target.step / target.max_error <= 3.4


@pytest.mark.parametrize("psnr", [15.0, 28.0])
def test_a_psnr_becomes_the_step_that_reaches_it(psnr: float) -> None:
    encoder = make_encoder()
    target = encoder.resolve({"psnr": psnr})
    codec = ChunkCodec(CODER, CHUNK, VALUES.dtype, VALUE_RANGE)
    errors = []
    for region in chunk_regions(SHAPE, CHUNK):
        valid = VALUES[region] != -9999
        decoded = codec.decode(encoder.encode(region, target))
        errors.append(squared_errors(VALUES[region][valid], decoded[valid]))
    # Where a chunk changes its way of coding, the PSNR jumps.
    assert -0.1 <= psnr_from_errors(VALUE_RANGE.width, errors) - psnr <= 0.5


def test_volumes_of_one_value_meet_any_psnr() -> None:
    values = np.full(SHAPE, 4.0)
    encoder = make_encoder(values, ValueRange(4.0, 4.0))
    target = encoder.resolve({"psnr": 80.0})
    for region in chunk_regions(SHAPE, CHUNK):
        assert parse_payload(encoder.encode(region, target), CHUNK).max_error == 0


def test_each_chunk_keeps_to_the_target() -> None:
    encoder = make_encoder()
    codec = ChunkCodec(CODER, CHUNK, VALUES.dtype, VALUE_RANGE)
    target = ChunkTarget(2.0, 2.0)
    for region in chunk_regions(SHAPE, CHUNK):
        payload = encoder.encode(region, target)
        values, decoded = VALUES[region], codec.decode(payload)
        assert decoded.shape == values.shape
        assert np.abs(decoded - values).max() <= 2.0
        np.testing.assert_array_equal(decoded == -9999, values == -9999)


def test_targets_relative_to_a_range_beyond_float64_are_refused() -> None:
    values = np.zeros(SHAPE)
    values[0, 0, :2] = [-1.7e308, 1.7e308]
    encoder = make_encoder(values, ValueRange(-1.7e308, 1.7e308))
    for target in ({"psnr": 40.0}, {"step": 0.01}, {"relative_error": 0.01}):
        with pytest.raises(ValueError, match="beyond float64's"):
            encoder.resolve(target)
    assert encoder.resolve({"lossless": True}) == ChunkTarget(0.0, None)
    bound = encoder.resolve({"max_error": 1.0})
    assert bound.max_error == 1.0
    assert bound.step is not None
    assert math.isfinite(bound.step)


def test_chunks_of_the_step_that_a_search_ends_with_are_not_encoded_again() -> None:
    coder = CountingCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, CHUNK)
    encoder = VolumeEncoder(coder, ts.array(VALUES), CHUNK, VALUE_RANGE)
    target = encoder.resolve({"psnr": 28.0})
    n_encoded = coder.n_encoded
    found = [encoder.encode(region, target) for region in chunk_regions(SHAPE, CHUNK)]
    assert coder.n_encoded == n_encoded
    # Payloads are kept for one call: a second one encodes anew.
    assert found == [encoder.encode(region, target) for region in chunk_regions(SHAPE, CHUNK)]
    assert coder.n_encoded > n_encoded


LARGE = (32, 32, 32)
"""Chunks whose steps are spread under a PSNR."""


def many_large_chunks() -> tuple[CountingCoder, VolumeEncoder, list[Region]]:
    """A volume of 36 chunks, its encoder and the coder that counts."""
    generator = np.random.default_rng(0)
    levels = generator.normal(size=(12, 12, 16)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    values = (levels + 0.01 * generator.normal(size=levels.shape)).astype(np.float32)
    coder = CountingCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, LARGE)
    encoder = VolumeEncoder(coder, ts.array(values), LARGE, find_value_range([values]))
    return coder, encoder, chunk_regions(values.shape, LARGE)


def test_chunks_of_a_psnr_are_the_same_whoever_writes_them() -> None:
    _, finder, regions = many_large_chunks()
    target = finder.resolve({"psnr": 41.3})
    assert target.is_spread
    stored = [finder.encode(region, target) for region in regions]
    _, writer, _ = many_large_chunks()
    writer.learn(target)
    assert [writer.encode(region, target) for region in regions[::-1]] == stored[::-1]
    alike = ChunkTarget(None, target.step)
    assert any(writer.encode(region, alike) != one for region, one in zip(regions, stored, strict=True))


@pytest.mark.parametrize("psnr", [30.0, 40.0, 50.0])
def test_a_psnr_of_many_chunks_is_found_in_few_rounds(psnr: float) -> None:
    coder, encoder, regions = many_large_chunks()
    encoder.resolve({"psnr": psnr})
    assert coder.n_encoded <= 2.5 * len(regions)


@pytest.mark.parametrize(
    "target", [{"psnr": 28.0}, {"relative_error": 0.01}, {"pointwise_error": 0.01}, {"step": 0.02}], ids=str
)
def test_batches_have_the_target_and_the_payloads_of_chunks_alone(target: dict[str, float]) -> None:
    alone, together = (
        VolumeEncoder(CODER, ts.array(VALUES), CHUNK, VALUE_RANGE, batch_size=size) for size in (1, 5)
    )
    assert (make_encoder().batch_size, together.batch_size) == (1, 5)  # on CPUs
    chosen = together.resolve(target)
    assert chosen == alone.resolve(target)
    regions = chunk_regions(SHAPE, CHUNK)
    expected = [alone.encode(region, chosen) for region in regions]
    assert [*together.encode_together(regions[:5], chosen)] == expected[:5]
    assert [*together.encode_together(regions[5:6], chosen)] == expected[5:6]
    assert [*alone.encode_together(regions, chosen)] == expected


def broken_volume() -> ts.TensorStore:
    """A volume whose chunk at (16, 0, 24) cannot be read."""

    def read(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        if domain.origin == (16, 0, 24):
            raise ValueError("a broken disk")
        chunk[...] = VALUES[domain.index_exp]

    layout = ts.ChunkLayout(chunk_shape=CHUNK)
    return ts.virtual_chunked(read, dtype=ts.float32, shape=SHAPE, chunk_layout=layout)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_errors_name_the_chunk(batch_size: int) -> None:
    encoder = VolumeEncoder(CODER, broken_volume(), CHUNK, VALUE_RANGE, batch_size=batch_size)
    (broken,) = [region for region in chunk_regions(SHAPE, CHUNK) if [p.start for p in region] == [16, 0, 24]]
    for work in (
        lambda: encoder.encode(broken, ChunkTarget(2.0, 2.0)),
        lambda: encoder.resolve({"psnr": 28.0}),
    ):
        with pytest.raises(ValueError, match="a broken disk") as caught:
            work()
        assert caught.value.__notes__ == ["in the chunk whose first voxel is (16, 0, 24)"]


def test_an_error_in_a_batch_loses_no_chunk_before_it() -> None:
    encoder = VolumeEncoder(CODER, broken_volume(), CHUNK, VALUE_RANGE, batch_size=4)
    regions, target = chunk_regions(SHAPE, CHUNK)[3:7], ChunkTarget(2.0, 2.0)
    payloads = iter(encoder.encode_together(regions, target))
    assert [next(payloads) for _ in range(2)] == [make_encoder().encode(one, target) for one in regions[:2]]
    with pytest.raises(ValueError, match="a broken disk"):
        next(payloads)


class EstimatingCoder(CountingCoder):
    """A coder that knows what it costs, and states twice as much."""

    n_estimated = 0

    def encode_below(self, chunk: ChunkToEncode) -> Any:
        stream, reconstruct = BlockMeanCoder.encode(self, *chunk.encode_arguments)
        steps = (reconstruct() - chunk.values) / (chunk.high - chunk.low) / chunk.step
        errors = np.square(steps, dtype=np.float64)
        estimate = 2 * (8 * len(stream) + 6 * float(errors.sum()))
        self.n_estimated += 1
        if estimate > chunk.limit:
            return DearChunk(estimate)
        self.n_encoded += 1
        return CodedChunk(stream, reconstruct, estimate)


def noisy_blocks() -> np.ndarray:
    """A volume whose blocks of 8³ voxels are level, with noise: both a lattice and block means suit it."""
    generator = np.random.default_rng(0)
    levels = generator.normal(size=(4, 4, 18)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    return (levels + 0.1 * generator.normal(size=levels.shape)).astype(np.float32)


def test_under_a_bound_a_lattice_alone_is_tried_where_it_was_clearly_cheaper() -> None:
    values = noisy_blocks()
    value_range = find_value_range([values])
    regions = chunk_regions(values.shape, CHUNK)
    target = ChunkTarget(0.05 * value_range.width, 0.1 * value_range.width)
    coder = EstimatingCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, CHUNK)
    encoder = VolumeEncoder(coder, ts.array(values), CHUNK, value_range)
    encoder.learn(target)
    n_of_pilots = coder.n_estimated
    stored = [encoder.encode(region, target) for region in regions]
    assert 0 < coder.n_estimated == n_of_pilots < len(regions)
    assert {parse_payload(one, CHUNK).kind for one in stored} == {PayloadKind.LATTICE}


def test_lessons_tell_the_better_way_whatever_the_order() -> None:
    values = noisy_blocks()
    value_range = find_value_range([values])
    regions = chunk_regions(values.shape, CHUNK)
    target = ChunkTarget(None, 0.1 * value_range.width)

    def make(coder: EstimatingCoder) -> VolumeEncoder:
        return VolumeEncoder(coder, ts.array(values), CHUNK, value_range)

    coders = [EstimatingCoder({"pattern": np.zeros((2, 2, 2), np.float32)}, CHUNK) for _ in range(3)]
    alone = [make(coders[0]).encode(region, target) for region in regions]
    encoder = make(coders[1])
    encoder.learn(target)
    learned = {first_voxel(region): encoder.encode(region, target) for region in regions}
    backwards = make(coders[2])
    backwards.learn(target)
    assert [backwards.encode(region, target) for region in regions[::-1]] == [
        learned[first_voxel(region)] for region in regions[::-1]
    ]
    assert sum(map(len, learned.values())) < 0.8 * sum(map(len, alone))
