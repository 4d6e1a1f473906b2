"""The interface of codecs whose payloads decode alone, of chunks of one step and of several steps."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.gathered_coder import map_with_coders
from nvc_jax.chunks.payload import Payload
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkTarget
from nvc_jax.core.device_batches import batch_size_in_use, pad_to_batch


class MeasuredChunk(NamedTuple):
    """A coded chunk and the error of what it decodes to.

    Attributes:
        stored: the payload's bytes.
        squared_error: sum over the valid voxels, in squares of ``unit``.
        unit: in the volume's units.
        n_valid: number of valid voxels.
    """

    stored: bytes
    squared_error: float
    unit: float
    n_valid: int


class PayloadCodec(ChunkDecoder):
    """Encodes and decodes chunks of one padded shape and dtype, each by itself."""

    @property
    @abc.abstractmethod
    def coder(self) -> TransformCoder:
        """Transform coder of the model."""

    @abc.abstractmethod
    def with_coder(self, coder: TransformCoder) -> Self:
        """Make a codec of the same chunks by another coder of the model."""

    def encode(self, values: np.ndarray, target: ChunkTarget, boundaries: int = 0) -> bytes:
        """Encode a chunk.

        Args:
            values: voxels that lie in the volume, of the volume's dtype and the chunk's coded shape.
            target: bound and step that the payload must keep to.
            boundaries: bits of the chunk boundaries at which the chunk meets others.

        Returns:
            The cheapest payload that keeps to the target.
        """
        return self.encode_prepared(self.prepare(values), target, boundaries)

    @abc.abstractmethod
    def prepare(self, values: np.ndarray) -> Any:
        """Prepare a chunk that is encoded by several targets: voxels, as of ``encode``."""

    @abc.abstractmethod
    def encode_prepared(
        self,
        prepared: Any,
        target: ChunkTarget,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> bytes:
        """Encode a prepared chunk; as ``encode``, with experience by which ways of coding are left out."""

    @abc.abstractmethod
    def encode_and_measure(
        self,
        prepared: Any,
        step: float,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> MeasuredChunk:
        """Encode a prepared chunk with a step, under no bound; as ``encode``."""

    @abc.abstractmethod
    def parse(self, stored: bytes) -> Sequence[Payload]:
        """Take a payload apart: one for each step.

        Raises:
            ValueError: it is no payload of such a chunk, or cut short.
        """

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device decodes together: 1 on CPUs, else as many as fit into it."""
        return batch_size_in_use(self.coder.decoding_bytes)

    def decode_together(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks, the streams of all in few calls of the device; errors as of ``decode``."""
        if self.batch_size == 1 or len(payloads) <= 1:
            return [self.decode(payload) for payload in payloads]

        def decode(payload: bytes, coder: TransformCoder) -> np.ndarray:
            return self.with_coder(coder).decode(payload)

        batch_size = pad_to_batch(len(payloads), self.batch_size)
        return list(map_with_coders(decode, payloads, self.coder, batch_size))
