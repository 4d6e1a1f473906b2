"""Bodies of payloads by a transform coder: a range, a step and a stream, with a correction under a bound."""

import functools
import math
import struct

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.coded_body import CodedBody, CodedStream, ParsedBody, TransformedChunk
from nvc_jax.chunks.error_correction import (
    Correction,
    apply_correction,
    correct,
    correction_from_bytes,
    correction_to_bytes,
)
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk, TransformCoder
from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_long_integer, is_narrow
from nvc_jax.core.filling import pad_with_ends
from nvc_jax.core.header_fields import decode_values, encode_values
from nvc_jax.core.long_integers import add_offsets
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

_STEP = struct.Struct("<f")
"""Step of the quantiser, behind the range."""
_MAX_LONG_WIDTH = 2**53
"""Limit of the ranges of int64 and uint64 that are transformed: float64 holds every offset below."""
_MAX_EXACT_SHARE = 1 / 64
"""Share of the voxels that a correction may state exactly: with more, the transform has failed."""


class TransformBodyCodec:
    """Encodes and decodes the bodies of one container.

    Args:
        coder: of the model.
        padded_shape: (z, y, x) of a whole chunk.
        dtype: of the volume.
    """

    def __init__(self, coder: TransformCoder, padded_shape: Shape3, dtype: np.dtype) -> None:
        self.coder, self._padded_shape, self._dtype = coder, padded_shape, dtype
        self._header_bytes = 2 * dtype.itemsize + _STEP.size
        # float32 holds every value of narrow dtypes; of the others it holds shares of the range.
        self._is_wide = not is_narrow(dtype)
        # Of int64 and uint64 float64 holds offsets from the smallest value of a chunk, in a range that is
        # not too wide: they are what is transformed, corrected and rounded.
        self._is_long = is_long_integer(dtype)
        self._rounded_dtype = np.dtype(np.int64) if self._is_long else dtype

    def encode(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int, limit: float = math.inf
    ) -> CodedBody | DearChunk | None:
        """Encode a chunk, unless it is likely to cost too much.

        Args:
            chunk: the values; ``low`` < ``high``.
            target: bound, and step in the volume's units.
            boundaries: see ``TransformCoder.encode``.
            limit: see ``ChunkToEncode``.

        Returns:
            The body, or what it would cost. None where the step is too small for the transform, or the range
            of int64 or uint64 too wide.
        """
        coded = self.encode_stream(chunk, target, boundaries, limit)
        if not isinstance(coded, CodedStream):
            return coded
        return CodedBody(coded.body, functools.partial(self.complete, coded, target), coded.estimate)

    def encode_stream(
        self, chunk: ChunkValues, target: ChunkTarget, boundaries: int, limit: float = math.inf
    ) -> CodedStream | DearChunk | None:
        """Encode a chunk to a stream that is not decoded yet; as ``encode``."""
        body_range = encode_values(self._dtype, chunk.low, chunk.high)
        origin = int(chunk.low) if self._is_long else 0
        if self._is_long:
            if chunk.high - chunk.low >= _MAX_LONG_WIDTH:
                return None
            chunk = chunk.relative_to_low()
        smallest, largest = self.coder.step_limits
        # A chunk may be far flatter than the volume.
        step = np.float32(min((target.step or 0.0) / (chunk.high - chunk.low), largest))
        if not step >= smallest:
            return None
        low, high = self._coded_range(chunk.low, chunk.high)
        valid_shape, is_bounded = check_shape(chunk.values.shape), target.max_error is not None
        of_coder = (limit, self._prepare(chunk), low, high, float(step), valid_shape, boundaries)
        coded = self.coder.encode_below(ChunkToEncode(*of_coder, is_bounded=is_bounded))
        if isinstance(coded, DearChunk):
            return coded
        body = body_range + _STEP.pack(step) + coded.stored

        def decode() -> np.ndarray:
            if not is_bounded:
                return self._to_range(self._crop(coded.reconstruct(), valid_shape), chunk.low, chunk.high)
            # A promise depends on the decoded values: so the stored bytes are read, as readers will.
            parsed = self.parse(body, valid_shape)
            return self._unrounded(parsed, self.coder.decode(parsed.stream), valid_shape)

        reserve = self.coder.decoding_reserve(chunk.low, chunk.high, float(step)) if is_bounded else 0.0
        return CodedStream(chunk, body, decode, reserve, origin, coded.cost)

    def complete(self, coded: CodedStream, target: ChunkTarget) -> TransformedChunk | None:
        """Find what readers will decode, and the correction; see ``CodedBody.complete``."""
        decoded = coded.decode()
        if target.max_error is None:
            return TransformedChunk(coded.body, b"", self._round(decoded, None, coded.origin))
        corrected = self._enforce_bound(coded.chunk, decoded, target.max_error, coded.reserve)
        if corrected is None:
            return None
        correction, moves = corrected
        rounded = self._round(decoded, moves, coded.origin)
        return TransformedChunk(coded.body, correction, rounded, coded.reserve)

    def _prepare(self, chunk: ChunkValues) -> np.ndarray:
        """Scale wide dtypes to their range, fill gaps and pad to a whole chunk: float32."""
        smooth = chunk.smooth
        if self._is_wide:
            smooth = ((smooth - chunk.low) / (chunk.high - chunk.low)).astype(np.float32)
        if smooth.shape == self._padded_shape:
            return smooth
        return pad_with_ends(smooth, self._padded_shape)

    def _enforce_bound(
        self, chunk: ChunkValues, decoded: np.ndarray, max_error: float, reserve: float
    ) -> tuple[bytes, Correction | None] | None:
        """Correct decoded values so that they keep a bound.

        Returns:
            The correction's bytes and the correction, empty and None where no value needs one; None in place
            of both where the transform has failed.
        """
        original = chunk.values
        if chunk.has_gaps:
            original = np.where(chunk.valid, original, round_to_dtype(decoded, self._rounded_dtype))
        correction = correct(original, decoded, max_error, reserve)
        if correction is None or correction.exact_positions.size > original.size * _MAX_EXACT_SHARE:
            return None
        if not correction.positions.size + correction.exact_positions.size:
            return b"", None
        return correction_to_bytes(correction, check_shape(original.shape)), correction

    def _round(self, unrounded: np.ndarray, correction: Correction | None, origin: int) -> np.ndarray:
        """Correct decoded values, unless there is no correction, and round them to the dtype."""
        if correction is not None:
            rounded = apply_correction(unrounded, correction, self._rounded_dtype)
        elif not self._is_wide and unrounded.dtype == self._dtype:
            rounded = unrounded  # the coder decodes to values of the chunk's range
        else:
            rounded = round_to_dtype(unrounded, self._rounded_dtype)
        return add_offsets(rounded, origin, self._dtype) if self._is_long else rounded

    def parse(self, body: bytes, valid_shape: Shape3) -> ParsedBody:
        """Take a body apart.

        Raises:
            ValueError: the body cannot be of such a chunk.
        """
        if len(body) < self._header_bytes:
            raise ValueError(
                f"a transformed body of {len(body)} bytes lacks its header of {self._header_bytes}"
            )
        low, high = decode_values(body, self._dtype, 2)
        (step,) = _STEP.unpack_from(body, self._header_bytes - _STEP.size)
        smallest, largest = self.coder.step_limits
        if not (math.isfinite(low) and low < high < math.inf and smallest <= step <= largest):
            raise ValueError(f"a stream has the range [{low}, {high}] and the step {step}")
        if self._is_long and high - low >= _MAX_LONG_WIDTH:
            raise ValueError(f"a stream has the range [{low}, {high}], which is too wide")
        stream = self.coder.parse(
            body[self._header_bytes :], *self._coded_range(float(low), float(high)), step, valid_shape
        )
        if self._is_long:
            return ParsedBody(stream, low, high, origin=low)
        return ParsedBody(stream, float(low), float(high))

    def limits(self, body: bytes) -> tuple[float, float] | None:
        """Limits of the values of a body without a correction; None where rounding may move them beyond."""
        if self._is_wide:
            return None
        low, high = decode_values(body, self._dtype, 2)
        return float(low), float(high)

    def decode(self, body: bytes, correction: bytes, valid_shape: Shape3) -> np.ndarray:
        """Decode a body, corrected unless ``correction`` is empty, in the volume's dtype."""
        parsed = self.parse(body, valid_shape)
        return self.finish(parsed, self.coder.decode(parsed.stream), correction, valid_shape)

    def finish(
        self, parsed: ParsedBody, decoded: np.ndarray, correction: bytes, valid_shape: Shape3
    ) -> np.ndarray:
        """Crop the coder's decoded values to the volume, map them to the chunk's range, correct and round."""
        unrounded = self._unrounded(parsed, decoded, valid_shape)
        return self.correct_and_round(unrounded, correction, valid_shape, parsed.origin)

    def correct_and_round(
        self, unrounded: np.ndarray, correction: bytes, valid_shape: Shape3, origin: int = 0
    ) -> np.ndarray:
        """Correct decoded values, unless the correction is empty, and round them to the dtype."""
        moves = correction_from_bytes(correction, valid_shape, self._rounded_dtype) if correction else None
        return self._round(unrounded, moves, origin)

    def decoding_reserve(self, body: bytes) -> float:
        """Bound the difference between values decoded here and on any other device, before rounding."""
        low, high = decode_values(body, self._dtype, 2)
        (step,) = _STEP.unpack_from(body, self._header_bytes - _STEP.size)
        return self.coder.decoding_reserve(float(low), float(high), step)

    def _unrounded(self, parsed: ParsedBody, decoded: np.ndarray, valid_shape: Shape3) -> np.ndarray:
        """Map the coder's decoded values to the chunk's range, relative to its origin."""
        low, high = parsed.low - parsed.origin, parsed.high - parsed.origin
        return self._to_range(self._crop(decoded, valid_shape), low, high)

    def decode_preview(self, body: bytes, valid_shape: Shape3, block_size: int) -> np.ndarray:
        """Decode about the means of blocks of ``block_size``³ voxels, in the volume's dtype."""
        parsed = self.parse(body, valid_shape)
        grid = grid_shape(valid_shape, block_size)
        means = self._unrounded(parsed, self.coder.decode_preview(parsed.stream), grid)
        return self._round(means, None, parsed.origin)

    def _coded_range(self, low: float, high: float) -> tuple[float, float]:
        """Range of the values that the coder is given."""
        return (0.0, 1.0) if self._is_wide else (low, high)

    def _to_range(self, decoded: np.ndarray, low: float, high: float) -> np.ndarray:
        return low + decoded.astype(np.float64) * (high - low) if self._is_wide else decoded

    @staticmethod
    def _crop(values: np.ndarray, shape: Shape3) -> np.ndarray:
        return values[tuple(slice(0, side) for side in shape)]
