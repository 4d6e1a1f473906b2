"""Quantised means as the transform coder of ``chunks.ChunkCodec``."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from nvc_jax.chunks.preview import block_means
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.chunks.value_bytes import pack_values, unpack_values
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, grid_shape
from tiny_model.coding import MAX_STEP, MIN_STEP, decode_means, encode_means

_RESERVE = 2.0**-19
"""Share of the larger end of the range: a few float32 roundings of numbers as large, with reserve."""


class Stream(NamedTuple):
    """A stream that was read.

    Attributes:
        points: int32 (z, y, x) blocks of the padded shape.
        low, high: values that count as 0 and as 1.
        step: of the quantiser, relative to the range.
    """

    points: np.ndarray
    low: float
    high: float
    step: float


class BlockMeanCoder(TransformCoder):
    """Codes chunks of one padded shape by a block-mean model."""

    step_limits = (MIN_STEP, MAX_STEP)

    def __init__(self, params: Params, padded_shape: Shape3) -> None:
        self.params, self.padded_shape = params, padded_shape
        self.encoding_bytes = self.decoding_bytes = 8 * 4 * math.prod(padded_shape)
        self.block_size = params["pattern"].shape[0]

    def encode(
        self, values: np.ndarray, low: float, high: float, step: float, valid_shape: Shape3, boundaries: int
    ) -> tuple[bytes, Callable[[], np.ndarray]]:
        numbers = (np.float32(number) for number in (low, high, step))
        points = np.asarray(encode_means(jnp.asarray(values), *numbers, block_size=self.block_size))
        return pack_values(points), lambda: self.decode(Stream(points, low, high, step))

    def parse(self, stored: bytes, low: float, high: float, step: float, valid_shape: Shape3) -> Stream:
        grid = grid_shape(self.padded_shape, self.block_size)
        return Stream(unpack_values(stored, grid, np.dtype("int32")), low, high, step)

    def decode(self, stream: Stream) -> np.ndarray:
        numbers = (np.float32(number) for number in stream[1:])
        points = jnp.asarray(stream.points)
        decoded = decode_means(self.params, points, *numbers, shape=self.padded_shape, dtype="float32")
        return np.asarray(decoded)

    def decode_batch(self, streams: Sequence[Stream]) -> np.ndarray:
        return np.stack([self.decode(stream) for stream in streams])

    def decode_preview(self, stream: Stream) -> np.ndarray:
        return block_means(self.decode(stream))

    def decoding_reserve(self, low: float, high: float, step: float) -> float:
        return _RESERVE * max(abs(low), abs(high))
