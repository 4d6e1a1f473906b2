"""The encoder of a chunk as programs of few arguments and results, for calls from outside.

Whatever a program takes or returns costs several microseconds each, in which other threads wait for Python's
lock. So numbers of a chunk travel together: those that the encoder takes in two arrays, all that it returns
but the words and the integers in one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.chunks.transform_coder import ChunkToEncode
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.decision_tables import DecisionTables
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.filter_setting import FilterSetting
from nvc_jax.transform.separable import TransformShape


class ChunkNumbers(NamedTuple):
    """Numbers by which a chunk is encoded.

    Attributes:
        floats: float32 (4,), values that count as 0 and as 1, the step, and the limit of the cost.
        integers: int32 (5,), valid shape, boundaries, and 1 if decoded values keep a bound.
    """

    floats: Any
    integers: Any


class PackedChunk(NamedTuple):
    """A chunk as the encoder's program returns it.

    Attributes:
        numbers: int32, bits of the estimated cost, and what a stream states beside its words.
        words: uint16, of the stream.
        symbols: integers of the stream.
    """

    numbers: Any
    words: Any
    symbols: BlockSymbols


def pack_numbers(chunk: ChunkToEncode) -> ChunkNumbers:
    """Pack the numbers of a chunk."""
    floats = np.array((chunk.low, chunk.high, chunk.step, chunk.limit), np.float32)
    return ChunkNumbers(floats, np.array((*chunk.valid_shape, chunk.boundaries, chunk.is_bounded), np.int32))


def encode_packed(
    params: Params, volume: jax.Array, given: ChunkNumbers, prepared: DecisionTables | None = None
) -> PackedChunk:
    """Encode a chunk by ``encoder.encode_below``; all but the cost is arbitrary if that is above the limit.

    Args:
        params: of the model.
        volume: float32 (z, y, x), the chunk.
        given: from ``pack_numbers``.
        prepared: tables of all profiles, if they have been prepared.
    """
    minimum, maximum, step, limit = given.floats
    valid_shape, boundaries, is_bounded = given.integers[:3], given.integers[3], given.integers[4] != 0
    arguments = (params, volume, minimum, maximum, step, valid_shape, boundaries, limit, is_bounded)
    cost, encoded, symbols = encoder.encode_below(*arguments, prepared=prepared)
    parts = [
        lax.bitcast_convert_type(cost, jnp.int32),
        *(*encoded.transform, encoded.predictor, encoded.profile, encoded.boundaries),
        *(encoded.filter_setting or ()),
        *(encoded.stream.n_lanes, encoded.stream.group_words),
    ]
    return PackedChunk(jnp.concatenate([part.reshape(-1) for part in parts]), encoded.stream.words, symbols)


def reconstruct_packed(
    params: Params, shape: Shape3, given: ChunkNumbers, numbers: jax.Array, symbols: BlockSymbols
) -> jax.Array:
    """Reconstruct a chunk from its integers; ``shape`` is that of the chunk, static."""
    stream: Any = None  # whose words are not used
    encoded = unpack_numbers(given, numbers, stream, shape, has_filter="filter" in params)
    return decoder.reconstruct(params, encoded, symbols)


def cost_of(numbers: np.ndarray) -> float:
    """Get the estimated cost of a chunk from the numbers that its encoder returned."""
    return float(numbers[:1].view(np.float32)[0])


def unpack_stream(
    given: ChunkNumbers, numbers: Any, words: jax.Array, shape: Shape3, *, has_filter: bool
) -> EncodedStream:
    """Unpack the stream of a chunk that was encoded.

    Args:
        given: from ``pack_numbers``.
        numbers: from ``encode_packed``.
        words: likewise.
        shape: (z, y, x) of the chunk.
        has_filter: whether the model has a filter.
    """
    start = _first_of_stream(has_filter=has_filter)
    stream = WordStream(words, numbers[start + 1 :], numbers[start])
    return unpack_numbers(given, numbers, stream, shape, has_filter=has_filter)


_N_FIXED = 10
"""Numbers before those of the filter: the cost, six of the transform, the predictor, the profile and the
boundaries at which the encoder emphasised."""


def _first_of_stream(*, has_filter: bool) -> int:
    """Get the place of the first number of the stream, how many lanes it has."""
    return _N_FIXED + len(FilterSetting._fields) * has_filter


def unpack_numbers(
    given: ChunkNumbers, numbers: Any, stream: WordStream, shape: Shape3, *, has_filter: bool
) -> EncodedStream:
    """Make an encoded stream of its numbers; these may be traced."""
    setting = FilterSetting(numbers[_N_FIXED], numbers[_N_FIXED + 1]) if has_filter else None
    return EncodedStream(
        stream=stream,
        minimum=given.floats[0],
        maximum=given.floats[1],
        step=given.floats[2],
        transform=TransformShape(numbers[1:4], numbers[4:7]),
        predictor=numbers[7],
        profile=numbers[8],
        valid_shape=given.integers[:3],
        boundaries=numbers[9],
        filter_setting=setting,
        shape=check_shape(shape),
        dtype="float32",
    )
