"""Adapter: spectral streams as the ``TransformCoder`` of ``chunks.ChunkCodec``."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.chunks.transform_coder import ChunkToEncode, CodedChunk, DearChunk, TransformCoder
from nvc_jax.core.compiler_options import jit_on_one_core, on_one_core, quick_compilation
from nvc_jax.core.device_batches import program_bytes, run_in_room
from nvc_jax.core.devices import copies_of, platform_here
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.dispatch import runs_kernels
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.chunk_programs import (
    cost_of,
    encode_packed,
    pack_numbers,
    reconstruct_packed,
    unpack_stream,
)
from nvc_jax.spectral.decision_tables import prepare_once
from nvc_jax.spectral.encoded_stream import (
    MAX_STEP,
    MIN_STEP,
    EncodedStream,
    fetch_batch,
    from_bytes,
    to_bytes,
)
from nvc_jax.spectral.profiles import count_profiles

T = TypeVar("T")
R = TypeVar("R")

_RANGE_RESERVE = 2.0**-17
"""Share of the range. A voxel is a sum of 128 products along each of three axes. Against float64 their
roundings were measured to add up to 2**-19.5 of the range with long segments; this is five times as much,
which leaves room for another device's roundings as well."""
_STEP_RESERVE = 2.0**-12
"""Share of a step, for the roundings of coefficients, which are computed in steps."""
_VOLUMES_TO_DECODE = 6
"""Memory that it takes to decode a chunk, in float32 volumes: a stream's buffer by itself and in the batch,
one and a half each, the decoded volume, and the program's temporaries, of which compilers make one."""
_VOLUMES_TO_ENCODE = {"tpu": 24}
_VOLUMES_TO_ENCODE_ELSEWHERE = 8
"""Memory that it takes to encode a chunk of a batch, in float32 volumes, by platform. Compiled ahead of time,
the chunk, its stream's buffer and the program's temporaries take 5 for an H100, and 22 for a TPU v5e, where
the temporaries, 18 of them, are those of one chunk of the batch."""
_VOLUMES_TO_FILTER = 10
"""Memory that a filter takes beside, in float32 volumes: six maps of what the network sees, each larger than
the volume, and some temporaries: 10 were compiled for a CPU without kernels, which make the maps plane by
plane."""
_OFFSET_RESERVE = 2.0**-21
"""Share of the larger limit of the range, for adding a limit of the range, and a correction, to a decoded
value."""


class SpectralTransformCoder(TransformCoder):
    """Codes chunks of one padded shape by a spectral model.

    Args:
        params: of the model.
        padded_shape: (z, y, x) of a whole chunk, for which programs are compiled.
        is_lone: whether the chunk is a whole volume. Its encoder runs a few times only, so it is compiled in
            half the time, to a program that takes a sixth longer.
    """

    step_limits = (MIN_STEP, MAX_STEP)

    def __init__(self, params: Params, padded_shape: Shape3, *, is_lone: bool = False) -> None:
        self._copies, self._profiles = copies_of(params), params["entropy"]
        self._n_profiles = count_profiles(params["entropy"])
        self._has_filter = "filter" in params
        self._padded_shape = padded_shape
        self._bytes_of: dict[tuple[Any, int], float] = {}
        n_bytes = 4 * math.prod(padded_shape)
        to_filter = _VOLUMES_TO_FILTER if self._has_filter else 0
        self.decoding_bytes = (_VOLUMES_TO_DECODE + to_filter) * n_bytes
        to_encode = _VOLUMES_TO_ENCODE.get(platform_here(), _VOLUMES_TO_ENCODE_ELSEWHERE)
        self.encoding_bytes = (to_encode + to_filter) * n_bytes
        self._encode = _chunk_encoder(is_lone)

    def encode(
        self, values: np.ndarray, low: float, high: float, step: float, valid_shape: Shape3, boundaries: int
    ) -> tuple[bytes, Callable[[], np.ndarray]]:
        """Encode a chunk; see ``TransformCoder.encode``."""
        encoded = self.encode_below(ChunkToEncode(math.inf, values, low, high, step, valid_shape, boundaries))
        assert not isinstance(encoded, DearChunk)
        return encoded.stored, encoded.reconstruct

    def encode_below(self, chunk: ChunkToEncode) -> CodedChunk | DearChunk:
        """Encode a chunk unless it is dear; see ``TransformCoder.encode_below``."""
        params, given = self._copies.here(), pack_numbers(chunk)
        prepared = prepare_once(self._profiles) if runs_kernels() else None
        packed = self._encode(params, chunk.values, given, prepared)
        numbers = np.asarray(packed.numbers)
        cost = cost_of(numbers)
        if _is_dear(cost, chunk.limit):
            return DearChunk(cost)
        shape = self._padded_shape

        def reconstruct() -> np.ndarray:
            return np.asarray(_reconstruct_packed()(params, shape, given, packed.numbers, packed.symbols))

        encoded = unpack_stream(given, numbers, packed.words, shape, has_filter=self._has_filter)
        return CodedChunk(to_bytes(encoded), reconstruct, cost)

    def encode_batch(self, chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
        """Encode several chunks in one call of the device, or in more if its memory is too small."""

        def encode(chunks: Sequence[ChunkToEncode]) -> list[bytes | DearChunk]:
            costs, encoded = _encode_batch(self._copies.here(), _stack(chunks))
            estimated = np.asarray(costs).tolist()
            return [
                DearChunk(cost) if _is_dear(cost, chunk.limit) else to_bytes(stream)
                for chunk, cost, stream in zip(chunks, estimated, fetch_batch(encoded), strict=True)
            ]

        parts = self._run_in_room(_encode_batch, encode, chunks, _stack(chunks[:1]))
        return [coded for part in parts for coded in part]

    def parse(
        self, stored: bytes, low: float, high: float, step: float, valid_shape: Shape3
    ) -> EncodedStream:
        """Read a stream's bytes; see ``TransformCoder.parse``."""
        return from_bytes(
            stored,
            self._padded_shape,
            "float32",
            low,
            high,
            step,
            valid_shape=valid_shape,
            n_profiles=self._n_profiles,
            has_filter=self._has_filter,
        )

    def decode(self, stream: EncodedStream) -> np.ndarray:
        """Decode a stream, by two programs: the encoder runs the second one alone."""
        params = self._copies.here()
        return np.asarray(_reconstruct(params, stream, _decode_symbols(params, stream)))

    def decode_batch(self, streams: Sequence[EncodedStream]) -> np.ndarray:
        """Decode several streams in one call of the device, or in more if its memory is too small."""

        def decode(streams: Sequence[EncodedStream]) -> np.ndarray:
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *streams)
            return np.asarray(_decode_batch(self._copies.here(), stacked))

        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *np.shape(leaf)), leaf.dtype), streams[0])
        return np.concatenate(self._run_in_room(_decode_batch, decode, streams, one))

    def _run_in_room(
        self, program: Any, function: Callable[[Sequence[T]], R], items: Sequence[T], one: Any
    ) -> list[R]:
        """Run a function on a batch, or on parts of it if the device has no room for all.

        Args:
            program: jitted; takes the parameters and a tree of arrays.
            function: runs the program on items.
            items: at least one.
            one: the tree for a single item.
        """

        def needed_bytes(n: int) -> float:
            if (program, n) not in self._bytes_of:
                batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((n, *leaf.shape[1:]), leaf.dtype), one)
                self._bytes_of[program, n] = _compiled_bytes(program, self._copies.here(), batch)
            return self._bytes_of[program, n]

        (device,) = jax.device_put(np.int32(0)).devices()
        return run_in_room(function, items, needed_bytes, device)

    def decode_preview(self, stream: EncodedStream) -> np.ndarray:
        """Decode about the means of 8³ voxels, from the first coefficients of all blocks."""
        return np.asarray(decoder.decode_block_means(self._copies.here(), stream))

    def decoding_reserve(self, low: float, high: float, step: float) -> float:
        """Bound the difference between values decoded here and on any other device."""
        # The roundings do not all point one way, see the constants.
        width, largest = high - low, max(abs(low), abs(high))
        return width * _RANGE_RESERVE + width * step * _STEP_RESERVE + largest * _OFFSET_RESERVE


@functools.cache
def _chunk_encoder(is_lone: bool) -> Any:
    """Make ``chunk_programs.encode_packed`` for calls from outside of compiled functions."""
    options: Any = quick_compilation() if is_lone else on_one_core()
    return jax.jit(encode_packed, compiler_options=options)


@functools.cache
def _reconstruct_packed() -> Any:
    """Make ``chunk_programs.reconstruct_packed`` for calls from outside of compiled functions."""
    return jax.jit(reconstruct_packed, static_argnums=1, compiler_options=on_one_core())


# For calls from outside of compiled functions.
_decode_symbols = jit_on_one_core(decoder.decode_symbols)
_reconstruct = jit_on_one_core(decoder.reconstruct)


_decode_batch = jax.jit(jax.vmap(decoder.decode, in_axes=(None, 0)))


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def _encode_batch(params: Params, chunk: tuple[Any, ...]) -> tuple[jax.Array, EncodedStream]:
    """Encode chunks, of which ``_stack`` made arrays: estimated costs, and streams, no words of dear ones."""
    *arguments, limit, is_bounded = chunk
    cost, encoded = encoder.encode_with_cost(params, *arguments, is_bounded)
    stream = encoded.stream
    stream = stream._replace(group_words=jnp.where(cost > limit, 0, stream.group_words))
    return cost, dataclasses.replace(encoded, stream=stream)


def _stack(chunks: Sequence[ChunkToEncode]) -> tuple[np.ndarray, ...]:
    """Stack chunks to arrays in the order of the arguments of ``encoder.encode_below``."""
    limits, values, lows, highs, steps, valid_shapes, boundaries, are_bounded = zip(*chunks, strict=True)
    numbers = (np.array(column, np.float32) for column in (lows, highs, steps))
    integers = (np.array(column, np.int32) for column in (valid_shapes, boundaries))
    return np.stack(values), *numbers, *integers, np.array(limits, np.float32), np.array(are_bounded)


def _is_dear(cost: float, limit: float) -> bool:
    """Tell whether a program left a chunk out, as its cost is above the limit."""
    return limit < math.inf and bool(cost > np.float32(limit))


def _compiled_bytes(program: Any, *arguments: Any) -> float:
    """Get the memory that a program takes, compiled for such arguments; infinite beyond the device's."""
    try:
        needed: float = program_bytes(program.lower(*arguments).compile().memory_analysis())
    except jax.errors.JaxRuntimeError:  # compilers of TPUs tell beforehand
        return math.inf
    return needed
