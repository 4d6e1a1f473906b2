"""One chunk of a volume at a time, read and encoded: the payloads that searches try are kept."""

import numpy as np
import tensorstore as ts

from nvc_jax.chunks.chunk_codec import ChunkCodec, MeasuredChunk
from nvc_jax.chunks.chunks_ahead import ChunksAhead
from nvc_jax.chunks.kept_payloads import KeptPayloads
from nvc_jax.chunks.lessons import Lessons
from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.core.chunk_grid import Place, Region, first_voxel, inner_boundaries, naming_chunk
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import spatial_region, spatial_shape
from nvc_jax.io.lazy import read_region


class RegionEncoder:
    """Encodes the chunks at regions of a volume; several threads may use it.

    Args:
        codec: of the chunks.
        volume: of a supported dtype, read chunk by chunk when it is needed.
        chunk: voxels of a whole chunk along each axis of the volume.
        lessons: what is learned from some of the chunks.

    Attributes:
        tried: payloads that are kept until their chunks are encoded.
        ahead: chunks that are prepared before their turn.
    """

    def __init__(self, codec: ChunkCodec, volume: ts.TensorStore, chunk: Shape, lessons: Lessons) -> None:
        self.codec, self.lessons = codec, lessons
        self._volume, self._chunk = volume, chunk
        self.tried, self.ahead = KeptPayloads(), ChunksAhead(self._prepare)

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk: (z, y, x), of its spatial shape."""
        values = read_region(self._volume, region)
        return values.reshape(spatial_shape(values.shape, self._chunk))

    def encode(self, region: Region, codec: ChunkCodec, target: ChunkTarget) -> bytes:
        """Encode a chunk, unless a payload of it is kept."""
        tried = self.tried.take(region, target)
        return tried or self._encode_prepared(region, self.ahead.take(region), codec, target)

    def try_chunk(
        self,
        region: Region,
        codec: ChunkCodec,
        target: ChunkTarget,
        prepared: dict[Place, PreparedChunk] | None = None,
    ) -> bytes:
        """Encode a chunk, and keep the payload.

        Args:
            region: of the chunk.
            codec: to encode with.
            target: of the chunk.
            prepared: chunks that stay prepared, to which this one is added; None where it is tried once.
        """
        chunk = None if prepared is None else prepared.get(first_voxel(region))
        if chunk is None:
            chunk = self._prepare(region)
        if prepared is not None:
            prepared[first_voxel(region)] = chunk
        payload = self._encode_prepared(region, chunk, codec, target)
        self.tried.keep(region, target, payload)
        return payload

    def measure(self, region: Region, codec: ChunkCodec, target: ChunkTarget) -> MeasuredChunk:
        """Encode a chunk with the step of a target, measure the errors, and keep the payload."""
        assert target.step is not None
        prepared, experience = self._prepare(region), self.lessons.begin(region, target)
        with naming_chunk(region):
            measured = codec.encode_and_measure(prepared, target.step, self._boundaries(region), experience)
        self.lessons.end(region, target, experience)
        self.tried.keep(region, target, measured.stored)
        return measured

    def _encode_prepared(
        self, region: Region, prepared: PreparedChunk, codec: ChunkCodec, target: ChunkTarget
    ) -> bytes:
        """Encode a prepared chunk of a region."""
        with naming_chunk(region):
            experience = self.lessons.begin(region, target)
            payload = codec.encode_prepared(prepared, target, self._boundaries(region), experience)
        self.lessons.end(region, target, experience)
        return payload

    def _prepare(self, region: Region) -> PreparedChunk:
        """Read a chunk, and prepare it to be encoded."""
        with naming_chunk(region):
            return self.codec.prepare(self.read(region))

    def _boundaries(self, region: Region) -> int:
        """Boundaries at which the chunk of a region meets others."""
        shape = spatial_shape(self._volume.shape, self._chunk)
        return inner_boundaries(spatial_region(region, self._chunk), shape)
