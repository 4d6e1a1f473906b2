"""The interface of a transform coder: lossy coding of one chunk's values to a stream.

A model whose chunks decode alone implements it, and ``ChunkCodec`` then gives it error bounds, special
values, every dtype and the lossless ways of coding.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.core.shapes import Shape3


class DearChunk(NamedTuple):
    """A chunk that was not encoded, as it would cost more than the limit.

    Attributes:
        cost: estimated bits, and 6 for each squared error of one step. Nearly always, a chunk costs 0.5 to 1
            times as much.
    """

    cost: float


class CodedChunk(NamedTuple):
    """A chunk that was encoded.

    Attributes:
        stored: bytes of the stream.
        reconstruct: returns their decoded values without reading them.
        cost: estimated before, as of ``DearChunk``; None if it was not.
    """

    stored: bytes
    reconstruct: Callable[[], np.ndarray]
    cost: float | None = None


class ChunkToEncode(NamedTuple):
    """A chunk that is encoded unless it is likely to cost more than a limit.

    Attributes:
        limit: bits and error as of ``DearChunk``; infinite for none.
        values, low, high, step, valid_shape, boundaries: as of ``TransformCoder.encode``.
        is_bounded: whether decoded values keep a bound, here and on other devices.
    """

    limit: float
    values: np.ndarray
    low: float
    high: float
    step: float
    valid_shape: Shape3
    boundaries: int
    is_bounded: bool = False

    @property
    def encode_arguments(self) -> tuple[np.ndarray, float, float, float, Shape3, int]:
        """Arguments of ``TransformCoder.encode``."""
        return self.values, self.low, self.high, self.step, self.valid_shape, self.boundaries


class TransformCoder(abc.ABC):
    """Codes float32 chunks of one padded shape.

    Attributes:
        step_limits: smallest and largest step, relative to the chunk's range.
        encoding_bytes, decoding_bytes: estimated memory of a device that it takes to encode a chunk, and to
            decode one.
    """

    step_limits: tuple[float, float]
    encoding_bytes: int
    decoding_bytes: int

    @abc.abstractmethod
    def encode(
        self, values: np.ndarray, low: float, high: float, step: float, valid_shape: Shape3, boundaries: int
    ) -> tuple[bytes, Callable[[], np.ndarray]]:
        """Encode a chunk.

        Args:
            values: float32, of the padded shape; what lies beyond ``valid_shape`` is padding.
            low: value that counts as 0.
            high: value that counts as 1.
            step: of the quantiser, relative to ``high`` − ``low``.
            valid_shape: (z, y, x) voxels that count.
            boundaries: bits of the chunk boundaries at which the chunk meets others; see
                ``core.chunk_grid.inner_boundaries``.

        Returns:
            The stream's bytes, and a function that returns their decoded values without reading the bytes.
        """

    def encode_below(self, chunk: ChunkToEncode) -> CodedChunk | DearChunk:
        """Encode a chunk unless it is dear; coders that have no estimate encode every chunk."""
        return CodedChunk(*self.encode(*chunk.encode_arguments))

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        """Encode several chunks to the streams of ``encode_below``, in one call of the device if possible."""
        encoded = (self.encode_below(chunk) for chunk in chunks)
        return [one if isinstance(one, DearChunk) else one.stored for one in encoded]

    @abc.abstractmethod
    def parse(self, stored: bytes, low: float, high: float, step: float, valid_shape: Shape3) -> Any:
        """Read a stream's bytes into the form that the methods below take.

        Raises:
            ValueError: the bytes cannot be of such a chunk.
        """

    @abc.abstractmethod
    def decode(self, stream: Any) -> np.ndarray:
        """Decode a stream: float32 of the padded shape, within the range that ``parse`` was given."""

    @abc.abstractmethod
    def decode_batch(self, streams: Sequence[Any]) -> np.ndarray:
        """Decode several streams in one call of the device: float32 (n, …)."""

    @abc.abstractmethod
    def decode_preview(self, stream: Any) -> np.ndarray:
        """Decode about the means of blocks of 8³ voxels: float32 (z, y, x) blocks of the padded shape."""

    @abc.abstractmethod
    def decoding_reserve(self, low: float, high: float, step: float) -> float:
        """Bound the difference between values decoded here and on any other device.

        Args:
            low: smallest value of the chunk.
            high: largest value.
            step: of the quantiser, relative to the range.
        """
