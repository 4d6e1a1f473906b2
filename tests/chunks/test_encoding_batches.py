from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest
from compilations import compilations
from example_chunks import PADDED_SHAPE, in_dtype, smooth_values

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.encoding_batches import EncodingBatches
from nvc_jax.chunks.payload import PayloadKind, parse_payload
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk, TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.devices import sharing_out
from nvc_jax.core.errors import largest_error
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec("nvc-1").params
BATCH_SIZE = 4
TARGETS = {
    "step": ChunkTarget(None, 3.0),
    "fine step": ChunkTarget(None, 0.05),
    "bound": ChunkTarget(0.5, 0.7),
    "tight bound": ChunkTarget(0.003, 0.004),
    "lossless": ChunkTarget(0.0, None),
    "pointwise": ChunkTarget(None, 1.4, 0.01),
}


class RecordingCoder(SpectralTransformCoder):
    """A coder that records what it codes together: numbers of chunks and of streams."""

    def __init__(self) -> None:
        super().__init__(PARAMS, PADDED_SHAPE)
        self.encoded: list[int] = []
        self.decoded: list[int] = []

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        self.encoded.append(len(chunks))
        return super().encode_batch(chunks)

    def decode_batch(self, streams: Sequence[EncodedStream]) -> np.ndarray:
        self.decoded.append(len(streams))
        return super().decode_batch(streams)


def mixed_chunks() -> list[np.ndarray]:
    """Chunks of all kinds: float32."""
    chunks = [in_dtype(smooth_values(seed=seed), "float32") for seed in range(11)]
    chunks[1] = chunks[1][:, :5, :33]  # at the end of a volume
    chunks[2][3:9, 4:7, :5] = np.nan
    chunks[3][:] = 2.5
    chunks[4][:, 11:, :] = 0.0
    chunks[5] = np.rint(chunks[5] / 40)  # few levels
    chunks[6] = np.rint(chunks[6])  # a lattice
    chunks[7] = np.cumsum(np.cumsum(np.random.default_rng(7).integers(-1, 2, PADDED_SHAPE), 0), 1)
    chunks[8][:] = np.nan
    chunks[9] = np.random.default_rng(9).normal(0, 50, (24, 32, 1))
    return [np.ascontiguousarray(values, np.float32) for values in chunks]


def make_batches(coder: SpectralTransformCoder, batch_size: int) -> EncodingBatches:
    codec = ChunkCodec(coder, PADDED_SHAPE, np.dtype("float32"))
    return EncodingBatches(codec, coder, batch_size)


@pytest.mark.parametrize("name", TARGETS)
def test_payloads_of_a_batch_are_those_of_chunks_alone(name: str) -> None:
    chunks, target, coder = mixed_chunks(), TARGETS[name], RecordingCoder()

    def encode(values: np.ndarray, codec: ChunkCodec) -> bytes:
        return codec.encode(values, target, boundaries=9)

    alone = list(make_batches(coder, 1).map_on_devices(encode, chunks))
    assert not coder.encoded
    assert not coder.decoded
    assert list(make_batches(coder, BATCH_SIZE).map_on_devices(encode, chunks)) == alone
    assert set(coder.encoded) | set(coder.decoded) <= {BATCH_SIZE}
    with sharing_out(jax.devices()):
        assert list(make_batches(coder, BATCH_SIZE).map_on_devices(encode, iter(chunks))) == alone
    kinds = {parse_payload(one, PADDED_SHAPE).kind for one in alone}
    assert PayloadKind.CONSTANT in kinds
    assert (PayloadKind.SPECTRAL in kinds) == (name in ("step", "fine step", "bound"))


class CautiousCoder(RecordingCoder):
    """A coder to which chunks are dear, if there is a limit: about 0.01 bits a voxel."""

    def encode_below(self, chunk: ChunkToEncode) -> Any:
        if chunk.limit < np.inf:
            return DearChunk(0.01 * chunk.values.size)
        return super().encode_below(chunk)

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        self.encoded.append(len(chunks))
        return TransformCoder.encode_batch(self, chunks)


def test_dear_chunks_of_a_batch_are_encoded_in_a_second_round_if_that_may_pay() -> None:
    chunks, target = (
        [smooth_values(seed=seed).astype(np.float32) for seed in range(3)],
        ChunkTarget(0.05, 0.1),
    )

    def encode(values: np.ndarray, codec: ChunkCodec) -> bytes:
        return codec.encode(values, target)

    coder = CautiousCoder()
    alone = list(make_batches(coder, 1).map_together(encode, chunks))
    assert list(make_batches(coder, 3).map_together(encode, chunks)) == alone
    assert coder.encoded == [3, 3]


def test_decoded_values_of_a_batch_are_measured() -> None:
    chunks, coder = mixed_chunks()[:2], RecordingCoder()
    batches = make_batches(coder, 2)
    coded = list(
        batches.map_together(
            lambda values, codec: codec.encode_and_measure(codec.prepare(values), 4.0), chunks
        )
    )
    assert (coder.encoded, coder.decoded) == ([2], [2])
    codec = ChunkCodec(coder, PADDED_SHAPE, np.dtype("float32"))
    for values, measured in zip(chunks, coded, strict=True):
        assert measured.n_valid == values.size
        stated = parse_payload(measured.stored, PADDED_SHAPE).max_error
        assert stated == largest_error(values, codec.decode(measured.stored))


def test_two_programs_encode_batches_of_any_number_of_chunks() -> None:
    chunks, coder = [smooth_values(seed=seed).astype(np.float32) for seed in range(25)], RecordingCoder()
    target = ChunkTarget(None, 0.02)

    def encode(values: np.ndarray, codec: ChunkCodec) -> bytes:
        return codec.encode(values, target)

    def encode_all() -> None:
        batches = make_batches(coder, 16)
        for n in (16, 25, 3, 9, 1):
            assert len(list(batches.map_on_devices(encode, chunks[:n]))) == n

    programs = compilations(encode_all)
    assert set(coder.encoded) == set(coder.decoded) == {8, 16}
    assert sum("_encode_batch" in name for name in programs) == 2
    assert compilations(encode_all) == []


def test_an_error_in_a_chunk_of_a_batch_loses_no_other() -> None:
    chunks, coder = mixed_chunks()[:3], RecordingCoder()

    def encode(number: int, codec: ChunkCodec) -> bytes:
        if number == 1:
            raise OSError("chunk 1 cannot be read")
        return codec.encode(chunks[number], ChunkTarget(None, 3.0))

    results = iter(make_batches(coder, BATCH_SIZE).map_together(encode, range(3)))
    assert next(results) == encode(0, ChunkCodec(coder, PADDED_SHAPE, np.dtype("float32")))
    with pytest.raises(OSError, match="chunk 1 cannot be read"):
        next(results)
    assert coder.encoded == [BATCH_SIZE]
