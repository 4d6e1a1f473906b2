"""The cheapest payload of a chunk under a pointwise bound.

The logarithms of magnitudes are coded under an absolute bound, in every way that ``PayloadEncoder`` knows.
Zeros are exact values, and so are values that a chunk takes very often. Readers on other devices may decode
any logarithm within the absolute bound. Their values, rounded and with the rules of the volume, never fall as
the logarithm grows: so it is enough to check both ends of that interval. Where an end breaks the pointwise
bound, the value is stored exactly. Lossless coding is tried where logarithms take many bytes.
"""

import math

import numpy as np

from nvc_jax.chunks.begun_chunk import CERTAIN_JUMP
from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.exact_values import required_patterns, without_exact_values
from nvc_jax.chunks.logarithms import PRECISIONS, Precision, encode_logarithms, to_values
from nvc_jax.chunks.lossless_candidates import LOSSLESS_SHARE
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.payload_encoder import PayloadEncoder
from nvc_jax.chunks.pointwise_bound import PointwiseBound
from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.chunks.special_values import (
    encode_special_values,
    restore_special_values,
)
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.errors import largest_error, largest_pointwise_error
from nvc_jax.core.shapes import Shape3, check_shape

_LEAST_WIDTH = 64.0
"""Half the width of an interval, in the unit of the fixed point, that is wide enough: with less a finer
fixed point is taken, if there is one."""
_MAX_NARROW_SHARE = 1 / 256
"""Share of the values that may have a narrower interval than the bound of all logarithms: they are exact."""
_RESERVE = 1.0
"""Part of an interval's half width, in the unit of the fixed point, for rounded centres and logarithms."""


class PointwiseEncoder:
    """Encodes chunks of one padded shape and dtype under pointwise bounds.

    Args:
        plain: encoder of the same chunks, which codes them without loss.
        decoder: of bodies, which says what readers will decode.
        coder: transform coder of a model.
        padded_shape: (z, y, x) of a whole chunk.
        decoded_range: rules that readers enforce on decoded values.
        exact_values: valid values that come back exactly, because the user asks for it.
    """

    def __init__(
        self,
        plain: PayloadEncoder,
        decoder: BodyDecoder,
        coder: TransformCoder,
        padded_shape: Shape3,
        decoded_range: DecodedRange,
        exact_values: tuple[float, ...] = (),
    ) -> None:
        self._plain, self._decoder, self._coder = plain, decoder, coder
        self._padded_shape, self._decoded_range = padded_shape, decoded_range
        self._exact_values = (0.0, *exact_values)

    def encode(self, prepared: PreparedChunk, pointwise_error: float, step: float) -> Payload:
        """Encode a chunk.

        Args:
            prepared: the chunk.
            pointwise_error: the bound.
            step: that the transform tries, in units of the bound.
        """
        bound, chunk = PointwiseBound(pointwise_error), prepared.chunk
        payloads = []
        if chunk.low < chunk.high:
            required = required_patterns(chunk, self._exact_values)
            frequent = prepared.exact
            others = frequent.patterns[~np.isin(frequent.patterns, required)]
            choices = [np.concatenate([required, others])]
            if others.size and frequent.jump < CERTAIN_JUMP:
                choices.append(required)
            for patterns in choices:
                payload = self._encode_logarithms(chunk, patterns, bound, step)
                if payload is not None:
                    payloads += self._verified(chunk, payload, pointwise_error)
        smallest = min((payload.section_bytes for payload in payloads), default=math.inf)
        is_dear = smallest > chunk.values.nbytes * LOSSLESS_SHARE
        if is_dear or prepared.levels is not None:
            payloads.append(self._plain.encode(prepared, ChunkTarget(0.0, None), 0).payload)
        return min(payloads, key=lambda payload: payload.section_bytes)

    def _encode_logarithms(
        self, chunk: ChunkValues, patterns: np.ndarray, bound: PointwiseBound, step: float
    ) -> Payload | None:
        """Code the logarithms of all values but those of the bit ``patterns``.

        Returns:
            The payload without its largest error; None where the bound is too tight, or no value is left.
        """
        rest = without_exact_values(chunk, patterns) if patterns.size else chunk
        precision = _choose_precision(bound)
        if precision is None or not rest.n_valid:
            return None
        intervals = bound.intervals(rest.values, precision.fraction_bits)
        centres = np.where(rest.valid, np.rint(intervals.centres), 0).astype(precision.dtype)
        max_error = math.floor(_choose_half_width(intervals.half_widths[rest.valid], bound, precision))
        if max_error < 1:
            return None
        logarithms = ChunkValues.of_valid(centres, rest.valid)
        integers = self._integer_encoder(precision).encode_body(
            logarithms, ChunkTarget(float(max_error), step * max_error)
        )
        body = encode_logarithms(integers, rest.values, rest.valid, precision, self._padded_shape)
        is_broken = rest.valid & ~self._is_kept(rest.values, centres, max_error, bound, precision)
        special_values = encode_special_values(
            chunk.values, chunk.valid & ~is_broken, self._padded_shape, patterns
        )
        shape = check_shape(chunk.values.shape)
        return Payload(PayloadKind.LOGARITHMS, shape, 0.0, body, special_values)

    def _verified(self, chunk: ChunkValues, payload: Payload, pointwise_error: float) -> list[Payload]:
        """Decode a payload and state its largest error; an empty list where it breaks the bound."""
        decoded = np.require(
            self._decoded_range.enforce(self._decoder.decode(payload)), requirements=["C", "W"]
        )
        restore_special_values(decoded, payload.special_values, self._padded_shape)
        valid = chunk.valid if chunk.has_gaps else None
        if not largest_pointwise_error(chunk.values, decoded, valid) <= pointwise_error:
            return []
        return [payload._replace(max_error=largest_error(chunk.values, decoded, valid))]

    def _integer_encoder(self, precision: Precision) -> PayloadEncoder:
        """Make the encoder of logarithms."""
        dtype, padded_shape = precision.dtype, self._padded_shape
        transform = TransformBodyCodec(self._coder, padded_shape, dtype)
        decoder = BodyDecoder(transform, padded_shape, dtype)
        return PayloadEncoder(transform, decoder, padded_shape, DecodedRange(dtype, None))

    def _is_kept(
        self,
        values: np.ndarray,
        centres: np.ndarray,
        max_error: int,
        bound: PointwiseBound,
        precision: Precision,
    ) -> np.ndarray:
        """Mark the values that keep the bound whatever is decoded within ``max_error`` of the logarithms."""
        kept = np.ones(values.shape, bool)
        for end in (centres - max_error, centres + max_error):
            decoded = to_values(end, values < 0, precision.fraction_bits, values.dtype)
            kept &= bound.is_kept(values, self._decoded_range.enforce(decoded))
        return kept


def _choose_precision(bound: PointwiseBound) -> Precision | None:
    """Choose the coarsest precision whose unit is fine enough; None where none is."""
    for precision in PRECISIONS:
        if bound.half_width * 2.0**precision.fraction_bits >= _LEAST_WIDTH:
            return precision
    return None


def _choose_half_width(half_widths: np.ndarray, bound: PointwiseBound, precision: Precision) -> float:
    """Choose the bound of logarithms so that only few values have a narrower interval."""
    nominal = bound.half_width * 2.0**precision.fraction_bits
    n_narrow = int(np.count_nonzero(half_widths < nominal - _RESERVE))
    if n_narrow <= half_widths.size * _MAX_NARROW_SHARE:
        return nominal - _RESERVE
    return float(np.quantile(half_widths, _MAX_NARROW_SHARE)) - _RESERVE
