"""Chunks encoded together: what several ask of a transform coder at the same time is one call of the device.

The encoder of a chunk goes on as it does alone, in a thread of its own, on the host. Only its calls of the
coder wait for those of the other chunks. So each chunk gets the bytes that it gets alone.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk, TransformCoder
from nvc_jax.core.concurrency import count_workers, map_batches_on_devices
from nvc_jax.core.device_batches import batch_size_in_use, run_filled, share_of_batch
from nvc_jax.core.devices import devices_in_use
from nvc_jax.core.gathering import Ask, map_gathering
from nvc_jax.core.heaps import releasing
from nvc_jax.core.shapes import Shape3

T = TypeVar("T")
R = TypeVar("R")


class EncodingBatches:
    """Encodes chunks of a volume, several together.

    Args:
        make_codec: makes the codec of chunks by a coder.
        coder: of the model.
        batch_size: largest number of chunks of a batch; with 1, each is encoded alone.
    """

    def __init__(
        self, make_codec: Callable[[TransformCoder], ChunkCodec], coder: TransformCoder, batch_size: int
    ) -> None:
        self._make_codec, self._coder, self.batch_size = make_codec, coder, batch_size
        self._codec = make_codec(coder)
        self._working = threading.Semaphore(count_workers())

    def map_on_devices(self, function: Callable[[T, ChunkCodec], R], items: Iterable[T]) -> Iterator[R]:
        """Map items on all devices in use.

        Args:
            function: takes an item and the codec that it must encode with; called by several threads at a
                time.
            items: taken by the consuming thread.

        Returns:
            The results; see ``map_batches_on_devices``.
        """
        together = functools.partial(self.map_together, function)
        return releasing(map_batches_on_devices(together, items, self.batch_size))

    def map_together(self, function: Callable[[T, ChunkCodec], R], items: Sequence[T]) -> Iterable[R]:
        """Map at most ``batch_size`` items on the device of this thread; ``function`` as above.

        Returns:
            The results, all of which are there by then. An error of an item is raised in the place of its
            result.
        """
        if self.batch_size == 1:
            return [function(item, self._codec) for item in items]

        def encode(item: T, ask: Ask) -> R:
            return function(item, self._make_codec(_GatheredCoder(self._coder, ask)))

        return map_gathering(encode, items, self._answer, self._working)

    def _answer(self, requests: list[Any]) -> list[Any]:
        """Encode the chunks among requests of ``_GatheredCoder``, and decode the streams."""
        chunks = [request for request in requests if isinstance(request, ChunkToEncode)]
        streams = [self._coder.parse(*request) for request in requests if isinstance(request, _StoredStream)]
        encoded = iter(run_filled(self._coder.encode_batch, chunks, self.batch_size))
        decoded = iter(run_filled(self._decode, streams, self.batch_size))
        return [next(encoded if isinstance(one, ChunkToEncode) else decoded) for one in requests]

    def _decode(self, streams: Sequence[Any]) -> list[np.ndarray]:
        return list(self._coder.decode_batch(streams))


def choose_batch_size(coder: TransformCoder, n_chunks: int) -> int:
    """Choose the number of chunks of a batch: 1 on CPUs, else as many as fit into the devices in use.

    Each device gets its share of the chunks of a volume, of which there are ``n_chunks``.
    """
    largest = batch_size_in_use(coder.encoding_bytes)
    return share_of_batch(largest, n_chunks, len(devices_in_use()))


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
        encoded = self.encode_below(math.inf, values, low, high, step, valid_shape, boundaries)
        assert not isinstance(encoded, DearChunk)
        return encoded

    def encode_below(
        self,
        limit: float,
        values: np.ndarray,
        low: float,
        high: float,
        step: float,
        valid_shape: Shape3,
        boundaries: int,
    ) -> tuple[bytes, Callable[[], np.ndarray]] | DearChunk:
        """Encode a chunk unless it is dear; see ``TransformCoder.encode_below``."""
        encoded = self._ask(ChunkToEncode(limit, values, low, high, step, valid_shape, boundaries))
        if isinstance(encoded, DearChunk):
            return encoded
        return encoded, lambda: self.decode(self.parse(encoded, low, high, step, valid_shape))

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
