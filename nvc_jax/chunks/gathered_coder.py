"""A transform coder for several chunks at a time: one call of the device answers the calls for all of them.

Each chunk is encoded or decoded by a thread of its own on the host, as if it were alone. Only its calls of
the coder wait for those of the other chunks. So a chunk has the same bytes, and the same values, as alone.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nvc_jax.chunks.transform_coder import ChunkToEncode, CodedChunk, DearChunk, TransformCoder
from nvc_jax.core.concurrency import count_workers
from nvc_jax.core.device_batches import run_filled
from nvc_jax.core.gathering import Ask, map_gathering
from nvc_jax.core.shapes import Shape3

T = TypeVar("T")
R = TypeVar("R")


def map_with_coders(
    function: Callable[[T, TransformCoder], R],
    items: Sequence[T],
    coder: TransformCoder,
    batch_size: int,
) -> Iterator[R]:
    """Map items that are coded together on the device of this thread.

    Args:
        function: codes an item by the coder that it is given; called by several threads at a time.
        items: at least one.
        coder: of the model.
        batch_size: number of chunks for which the coder's programs are compiled, beside a few.

    Returns:
        The results; see ``map_gathering``.
    """

    def decode(streams: Sequence[Any]) -> list[np.ndarray]:
        return list(coder.decode_batch(streams))

    def answer(requests: list[Any]) -> list[Any]:
        """Encode the chunks among requests of ``_GatheredCoder``, and decode the streams."""
        chunks = [request for request in requests if isinstance(request, ChunkToEncode)]
        streams = [coder.parse(*request) for request in requests if isinstance(request, _StoredStream)]
        encoded = iter(run_filled(coder.encode_batch, chunks, batch_size))
        decoded = iter(run_filled(decode, streams, batch_size))
        return [next(encoded if isinstance(one, ChunkToEncode) else decoded) for one in requests]

    def code(item: T, ask: Ask) -> R:
        return function(item, _GatheredCoder(coder, ask))

    return map_gathering(code, items, answer, _working())


@functools.cache
def _working() -> threading.Semaphore:
    """Make the semaphore of the threads that code chunks at a time, on whichever device: one a core."""
    return threading.Semaphore(count_workers())


class _StoredStream(NamedTuple):
    """Arguments of ``TransformCoder.parse``, of a stream that is decoded together with others."""

    stored: bytes
    low: float
    high: float
    step: float
    valid_shape: Shape3


class _GatheredCoder(TransformCoder):
    """Codes a chunk together with others.

    Args:
        coder: of the model.
        ask: encodes a ``ChunkToEncode``, and decodes a ``_StoredStream``.
    """

    def __init__(self, coder: TransformCoder, ask: Ask) -> None:
        self._coder, self._ask = coder, ask
        self.step_limits = coder.step_limits
        self.encoding_bytes, self.decoding_bytes = coder.encoding_bytes, coder.decoding_bytes

    def encode(
        self, values: np.ndarray, low: float, high: float, step: float, valid_shape: Shape3, boundaries: int
    ) -> tuple[bytes, Callable[[], np.ndarray]]:
        """Encode a chunk; see ``TransformCoder.encode``."""
        encoded = self.encode_below(ChunkToEncode(math.inf, values, low, high, step, valid_shape, boundaries))
        assert not isinstance(encoded, DearChunk)
        return encoded.stored, encoded.reconstruct

    def encode_below(self, chunk: ChunkToEncode) -> CodedChunk | DearChunk:
        """Encode a chunk unless it is dear; see ``TransformCoder.encode_below``."""
        encoded = self._ask(chunk)
        if isinstance(encoded, DearChunk):
            return encoded
        stream = self.parse(encoded, chunk.low, chunk.high, chunk.step, chunk.valid_shape)
        return CodedChunk(encoded, lambda: self.decode(stream))

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        """Encode several chunks, apart from others."""
        return self._coder.encode_batch(chunks)

    def parse(
        self, stored: bytes, low: float, high: float, step: float, valid_shape: Shape3
    ) -> _StoredStream:
        """Put off reading a stream's bytes until it is decoded, on the device."""
        return _StoredStream(stored, low, high, step, valid_shape)

    def decode(self, stream: _StoredStream) -> np.ndarray:
        """Decode a stream: float32 of the padded shape."""
        decoded: np.ndarray = self._ask(stream)
        return decoded

    def decode_batch(self, streams: Sequence[_StoredStream]) -> np.ndarray:
        """Decode several streams, apart from others."""
        return self._coder.decode_batch([self._coder.parse(*stream) for stream in streams])

    def decode_preview(self, stream: _StoredStream) -> np.ndarray:
        """Decode about the means of blocks of 8³ voxels."""
        return self._coder.decode_preview(self._coder.parse(*stream))

    def decoding_reserve(self, low: float, high: float, step: float) -> float:
        """Bound the difference between values decoded here and on any other device."""
        return self._coder.decoding_reserve(low, high, step)
