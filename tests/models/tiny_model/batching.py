"""Block-mean models whose chunks are coded in batches, as an accelerator would take them."""

import time
from collections.abc import Sequence

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk
from nvc_jax.chunks.volume_encoder import VolumeEncoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkEncoder, ChunkFormat, ValueRange
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape
from nvc_jax.models.registry import ModelKind
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining
from tiny_model.transform_coder import BlockMeanCoder

BATCH_SIZE = 3
SECONDS = 0.01
ENCODED: list[int] = []
"""Numbers of chunks that were encoded together, since a test cleared them."""
DECODED: list[int] = []
"""Numbers of chunks that were decoded together."""


class BatchingCoder(BlockMeanCoder):
    """A coder that notes how many chunks it encodes together."""

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        ENCODED.append(len(chunks))
        return super().encode_batch(chunks)


class BatchingCodec(ChunkCodec):
    """A chunk codec that notes how many chunks it decodes together, and takes a while for it."""

    batch_size = BATCH_SIZE

    def decode(self, payload: bytes) -> np.ndarray:
        time.sleep(SECONDS)
        return super().decode(payload)

    def decode_together(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        DECODED.append(len(payloads))
        time.sleep(SECONDS)
        return super().decode_together(payloads)


class BatchingModel(BlockMeanModel):
    """A model whose chunks are encoded and decoded in batches."""

    def chunk_encoder(
        self, params: Params, volume: ts.TensorStore, chunk: Shape, value_range: ValueRange
    ) -> ChunkEncoder:
        return VolumeEncoder(BatchingCoder(params, chunk), volume, chunk, value_range, batch_size=BATCH_SIZE)

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        coder = BlockMeanCoder(params, chunk_format.chunk)
        return BatchingCodec(coder, chunk_format.chunk, chunk_format.dtype, chunk_format.value_range)


BATCHING_KIND = ModelKind(BlockMeanConfig, BatchingModel, BlockMeanTraining)
