"""Measurement of candidates: decoded values, largest error, and the values that must be stored exactly."""

import numpy as np

from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidates import Candidate, squared_unit
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.prepared_chunk import BodyValues
from nvc_jax.chunks.special_values import encode_special_values
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ChunkTarget
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.native.float_errors import largest_and_squared_errors, largest_error
from nvc_jax.native.host_kernels import serves


class CandidateMeasurer:
    """Makes candidates of bodies of chunks of one padded shape.

    Args:
        decoder: of bodies.
        padded_shape: (z, y, x) of a whole chunk.
        decoded_range: rules that readers enforce on decoded values.
    """

    def __init__(self, decoder: BodyDecoder, padded_shape: Shape3, decoded_range: DecodedRange) -> None:
        self._decoder, self._padded_shape, self._decoded_range = decoder, padded_shape, decoded_range

    def measure(
        self,
        values: BodyValues,
        target: ChunkTarget,
        kind: PayloadKind,
        body: bytes,
        correction: bytes = b"",
        decoded: np.ndarray | None = None,
        reserve: float = 0.0,
        max_error: float | None = None,
    ) -> Candidate:
        """Make a candidate of a body; what the rules take beyond a bound is stored exactly.

        Args:
            values: the values.
            target: bound and step.
            kind: of the body.
            body: its bytes.
            correction: bytes of the correction.
            decoded: what body and correction decode to, in the volume's dtype; None if it is not known yet.
            reserve: largest difference from values that other devices decode.
            max_error: largest error of the valid ones of ``decoded``; None if it is not known yet.
        """
        chunk, original = values.chunk, values.chunk.values
        payload = Payload(kind, check_shape(original.shape), 0.0, body, values.special_values, correction)
        decoded = self._decoder.decode(payload) if decoded is None else decoded
        is_measured = max_error is None or target.max_error is None
        limits = self._decoded_range.limits if is_measured and serves(original.dtype) else None
        found, in_body = decoded, chunk.valid
        # Where there are no other rules, values are clipped as they are measured.
        decoded = self._decoded_range.enforce(found) if limits is None else found
        broken = self._decoded_range.find_broken(original, decoded, target.max_error, reserve)
        if broken is not None and (broken & in_body).any():
            in_body = in_body & ~broken
            valid = values.valid & ~(chunk.valid & broken)
            stored = encode_special_values(original, valid, self._padded_shape, values.patterns)
            payload = payload._replace(special_values=stored)
        counted = in_body if chunk.has_gaps or in_body is not chunk.valid else None
        if target.max_error is None:
            rules = (squared_unit(target), limits or NO_LIMITS)
            error, squared = largest_and_squared_errors(original, decoded, counted, *rules)
        elif max_error is not None and decoded is found and in_body is chunk.valid:
            error, squared = max_error, 0.0
        else:
            error, squared = largest_error(original, decoded, counted, limits or NO_LIMITS), 0.0
        return Candidate(payload._replace(max_error=error), squared)
