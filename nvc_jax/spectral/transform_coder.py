"""Adapter: spectral streams as the ``TransformCoder`` of ``chunks.ChunkCodec``."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.chunks.transform_coder import DearChunk, TransformCoder
from nvc_jax.core.compiler_options import quick_compilation
from nvc_jax.core.device_batches import program_bytes, run_in_room
from nvc_jax.core.devices import DeviceCopies
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.encoded_stream import MAX_STEP, MIN_STEP, EncodedStream, from_bytes, to_bytes
from nvc_jax.spectral.profiles import count_profiles

_RANGE_RESERVE = 2.0**-17
"""Share of the range. A voxel is a sum of 128 products along each of three axes. Against float64 their
roundings were measured to add up to 2**-19.5 of the range with long segments; this is five times as much,
which leaves room for another device's roundings as well."""
_STEP_RESERVE = 2.0**-12
"""Share of a step, for the roundings of coefficients, which are computed in steps."""
_VOLUMES_TO_DECODE = 6
"""Memory that it takes to decode a chunk, in float32 volumes: a stream's buffer by itself and in the batch,
one and a half each, the decoded volume, and the program's temporaries, of which compilers make one."""
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
        self._copies = DeviceCopies(params)
        self._n_profiles = count_profiles(params["entropy"])
        self._padded_shape = padded_shape
        self._bytes_by_number: dict[int, int] = {}
        self.decoding_bytes = _VOLUMES_TO_DECODE * 4 * math.prod(padded_shape)
        self._encode = _chunk_encoder(is_lone)

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
        params = self._copies.here()
        cost, encoded, symbols = self._encode(
            params,
            jax.device_put(values),
            *(np.float32(number) for number in (low, high, step)),
            np.array(valid_shape, np.int32),
            np.int32(boundaries),
            np.float32(limit),
        )
        if limit < math.inf and float(cost) > np.float32(limit):
            return DearChunk(float(cost))

        def reconstruct() -> np.ndarray:
            return np.asarray(decoder.reconstruct(params, encoded, symbols))

        return to_bytes(encoded), reconstruct

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
        )

    def decode(self, stream: EncodedStream) -> np.ndarray:
        """Decode a stream, by two programs: the encoder runs the second one alone."""
        params = self._copies.here()
        return np.asarray(decoder.reconstruct(params, stream, decoder.decode_symbols(params, stream)))

    def decode_batch(self, streams: Sequence[EncodedStream]) -> np.ndarray:
        """Decode several streams in one call of the device, or in more if its memory is too small."""
        params = self._copies.here()

        def decode(streams: Sequence[EncodedStream]) -> np.ndarray:
            return np.asarray(
                _decode_batch(params, jax.tree.map(lambda *leaves: jnp.stack(leaves), *streams))
            )

        (device,) = streams[0].stream.words.devices()
        return np.concatenate(
            run_in_room(decode, streams, functools.partial(self._bytes_to_decode, streams[0]), device)
        )

    def _bytes_to_decode(self, stream: EncodedStream, n: int) -> int:
        """Get the memory that the program takes that decodes n such streams."""
        if n not in self._bytes_by_number:
            stacked = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct((n, *np.shape(leaf)), leaf.dtype), stream
            )
            memory = _decode_batch.lower(self._copies.here(), stacked).compile().memory_analysis()
            self._bytes_by_number[n] = program_bytes(memory)
        return self._bytes_by_number[n]

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
    """Make ``encoder.encode_below`` for calls from outside of compiled functions."""
    options = quick_compilation() if is_lone else None
    return jax.jit(encoder.encode_below, compiler_options=options)


_decode_batch = jax.jit(jax.vmap(decoder.decode, in_axes=(None, 0)))
