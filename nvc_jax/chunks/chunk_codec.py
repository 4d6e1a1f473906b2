"""A chunk of a volume to a payload of bytes and back: format version 1, see ``FORMAT.md``.

The encoder tries every way of coding that may suit a chunk and keeps the cheapest: one value, few levels, the
transform with a correction, a lattice, uniform quantisation, differences, the packed values; all but the
levels also with frequent values told apart as ``exact_values``. Under a bound the cheapest way takes the
fewest bytes. Without one, squared errors have a price in bits. In the worst case a chunk is stored as its own
bytes plus a payload header. A payload states the largest error of its decoded values.
"""

import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from nvc_jax.chunks import bodies, lattice_body
from nvc_jax.chunks.candidates import Candidate, cheapest
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.exact_values import find_exact_values, without_exact_values
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE, block_means, show_special_blocks
from nvc_jax.chunks.special_values import encode_special_values, restore_special_values
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.chunks.value_bytes import unpack_values
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkTarget
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.errors import largest_error, squared_errors
from nvc_jax.core.shapes import Shape3, check_shape

_DEVICE_BATCH = 8
"""Chunks that an accelerator decodes in one call: one compiled shape, and enough work for the device."""
_LOSSLESS_SHARE = 1 / 4
"""Share of the chunk's own bytes above which the smallest body makes lossless coding worth trying."""
_LATTICE_ERROR_PER_STEP = 0.37
"""Largest error of a lattice, in steps of the transform, where there is no bound: its slope of bits against
error is then that of the transform."""
_LATTICE_ERROR_BITS = 0.27
"""Price in bits of the mean squared error of a voxel on such a lattice."""
_MIN_BITS = 8 * 64
"""Cost of a payload below which exact values are not looked for."""


class ChunkCodec(ChunkDecoder):
    """Encodes and decodes chunks of one padded shape and dtype, each by itself.

    Args:
        coder: transform coder of a model.
        padded_shape: (z, y, x) of a whole chunk, for which programs are compiled.
        dtype: of the volume.
    """

    def __init__(self, coder: TransformCoder, padded_shape: Shape3, dtype: np.dtype) -> None:
        self._padded_shape, self._dtype = padded_shape, np.dtype(dtype)
        self._transform = TransformBodyCodec(coder, padded_shape, self._dtype)

    def encode(
        self,
        values: np.ndarray,
        target: ChunkTarget,
        missing_values: tuple[float, ...] = (),
        boundaries: int = 0,
    ) -> bytes:
        """Encode a chunk.

        Args:
            values: (z, y, x) voxels that lie in the volume, of the volume's dtype.
            target: bound and step that the payload must keep to.
            missing_values: values that stand for no measurement.
            boundaries: bits of the chunk boundaries at which the chunk meets others.

        Returns:
            The cheapest payload that keeps to the target.
        """
        # A bound holds at chunk boundaries as it does elsewhere: there is no seam to hide.
        boundaries = boundaries if target.max_error is None else 0
        chunk = ChunkValues.examine(values, missing_values)
        best = self._encode_plainly(chunk, target, boundaries)
        exact_patterns = find_exact_values(chunk) if best.cost(target) > _MIN_BITS else None
        if exact_patterns is not None and exact_patterns.size:
            special_values = encode_special_values(values, chunk.valid, self._padded_shape, exact_patterns)
            if 8 * len(special_values) < best.cost(target):
                rest = without_exact_values(chunk, exact_patterns)
                candidates = [best, *self._candidates(rest, special_values, target, boundaries)]
                best = cheapest(candidates, target)
        return best.payload.to_bytes(self._padded_shape)

    def _encode_plainly(self, chunk: ChunkValues, target: ChunkTarget, boundaries: int) -> Candidate:
        """Encode a chunk without exact values."""
        special_values = encode_special_values(chunk.values, chunk.valid, self._padded_shape)
        candidates = list(self._candidates(chunk, special_values, target, boundaries))
        if candidates[0].payload.kind != PayloadKind.CONSTANT:
            levels = bodies.encode_levels(chunk, self._padded_shape)
            if levels is not None:
                candidates.append(self._exact_candidate(PayloadKind.LEVELS, levels, chunk, special_values))
        return cheapest(candidates, target)

    def _exact_candidate(
        self, kind: PayloadKind, body: bytes, chunk: ChunkValues, special_values: bytes
    ) -> Candidate:
        """Make a candidate of a body that is known to be lossless."""
        payload = Payload(kind, check_shape(chunk.values.shape), 0.0, body, special_values)
        return Candidate(payload, 0.0)

    def _candidates(
        self, chunk: ChunkValues, special_values: bytes, target: ChunkTarget, boundaries: int
    ) -> Iterator[Candidate]:
        """Code a chunk in every way that may be the cheapest and keeps to the target."""
        values, max_error = chunk.values, target.max_error

        def candidate(
            kind: PayloadKind, body: bytes, correction: bytes = b"", decoded: np.ndarray | None = None
        ) -> Candidate:
            payload = Payload(kind, check_shape(values.shape), 0.0, body, special_values, correction)
            decoded = self._decode_body(payload) if decoded is None else decoded
            error = largest_error(values, decoded, chunk.valid)
            squared = (
                squared_errors(values[chunk.valid], decoded[chunk.valid])[0] if max_error is None else 0.0
            )
            return Candidate(payload._replace(max_error=error), squared)

        if not chunk.valid.any():
            yield candidate(PayloadKind.CONSTANT, bytes(self._dtype.itemsize))
            return
        constant = bodies.encode_constant(chunk, max_error)
        if constant is not None:
            constant_candidate = candidate(PayloadKind.CONSTANT, constant)
            if constant_candidate.keeps_bound(target):
                yield constant_candidate
                return

        smallest_cost = math.inf
        transformed = None if max_error == 0 else self._transform.encode(chunk, target, boundaries)
        if transformed is not None:
            spectral = candidate(PayloadKind.SPECTRAL, *transformed)
            # Where valid values decode to NaN the transform has failed.
            if not math.isnan(spectral.payload.max_error) and spectral.keeps_bound(target):
                smallest_cost = spectral.cost(target)
                yield spectral
        predicted = self._predict(chunk, target, smallest_cost)
        if predicted is not None:
            predicted_candidate = candidate(*predicted)
            if predicted_candidate.keeps_bound(target):
                smallest_cost = min(smallest_cost, predicted_candidate.cost(target))
                yield predicted_candidate
        if smallest_cost > 8 * values.nbytes * _LOSSLESS_SHARE:
            if values.dtype.kind == "f" or predicted is None or max_error != 0:
                differences = bodies.encode_differences(chunk, self._padded_shape)
                yield self._exact_candidate(PayloadKind.DIFFERENCES, differences, chunk, special_values)
            packed = bodies.encode_packed(chunk)
            yield self._exact_candidate(PayloadKind.PACKED, packed, chunk, special_values)

    def _predict(
        self, chunk: ChunkValues, target: ChunkTarget, smallest_cost: float
    ) -> tuple[PayloadKind, bytes] | None:
        """Code a chunk by prediction from neighbours: on a lattice, or else uniformly quantised.

        Returns:
            Kind and body; None where there is none, or an estimate says that it would cost more than
            ``smallest_cost``.
        """
        max_error, error_bits = target.max_error, 0.0
        if max_error is None:
            max_error = _LATTICE_ERROR_PER_STEP * (target.step or 0.0)
            error_bits = _LATTICE_ERROR_BITS * chunk.values.size
        if max_error == 0 and chunk.values.dtype.kind == "f":
            return None
        if lattice_body.estimate_lattice_bits(chunk, max_error) + error_bits > smallest_cost:
            return None
        lattice = lattice_body.encode_lattice(chunk, max_error, self._padded_shape)
        if lattice is not None:
            return PayloadKind.LATTICE, lattice
        uniform = bodies.encode_uniform(chunk, max_error, self._padded_shape)
        return None if uniform is None else (PayloadKind.UNIFORM, uniform)

    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        parsed = parse_payload(payload, self._padded_shape)
        return self._with_special_values(self._decode_body(parsed), parsed)

    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks: on CPUs by threads, elsewhere in batches; errors as of ``decode``."""
        if jax.default_backend() == "cpu":
            return list(map_in_order(self.decode, payloads))
        return self.decode_batches(payloads)

    def decode_batches(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks, several streams in one call of the device; errors as of ``decode``."""
        parsed = [parse_payload(payload, self._padded_shape) for payload in payloads]
        transformed = [i for i, payload in enumerate(parsed) if payload.kind == PayloadKind.SPECTRAL]
        decoded: dict[int, np.ndarray] = {}
        for start in range(0, len(transformed), _DEVICE_BATCH):
            batch = transformed[start : start + _DEVICE_BATCH]
            decoded |= zip(batch, self._decode_batch([parsed[i] for i in batch]), strict=True)
        return [
            self._with_special_values(decoded[i] if i in decoded else self._decode_body(payload), payload)
            for i, payload in enumerate(parsed)
        ]

    def _decode_batch(self, batch: list[Payload]) -> list[np.ndarray]:
        """Decode at most ``_DEVICE_BATCH`` transformed bodies in one call of the device."""
        parsed = [self._transform.parse(payload.body, payload.valid_shape) for payload in batch]
        streams = [body.stream for body in parsed]
        # One compiled shape: the last batch is filled up with copies of its first stream.
        streams += streams[:1] * (_DEVICE_BATCH - len(streams))
        decoded = self._transform.coder.decode_batch(streams)
        finished = []
        for payload, body, values in zip(batch, parsed, decoded, strict=False):
            values = self._transform.finish(body, values, payload.valid_shape)
            finished.append(self._transform.apply_correction(values, payload.correction, payload.valid_shape))
        return finished

    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode about the means of a chunk's blocks of 8³ voxels: (z, y, x) blocks, in the volume's dtype.

        Of a transform's streams only the DC coefficients are decoded. A block without valid values shows its
        first value.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        parsed = parse_payload(payload, self._padded_shape)
        if parsed.kind == PayloadKind.SPECTRAL:
            means = self._transform.decode_preview(parsed.body, parsed.valid_shape, PREVIEW_BLOCK_SIZE)
        else:
            means = block_means(self._decode_body(parsed))
        return show_special_blocks(means, parsed, self._padded_shape)

    def _decode_body(self, payload: Payload) -> np.ndarray:
        """Decode a body, corrected and in the volume's dtype, without its special values."""
        body, shape, dtype, padded_shape = payload.body, payload.valid_shape, self._dtype, self._padded_shape
        match payload.kind:
            case PayloadKind.SPECTRAL:
                decoded = self._transform.decode(body, shape)
                return self._transform.apply_correction(decoded, payload.correction, shape)
            case PayloadKind.PACKED:
                return unpack_values(body, shape, dtype)
            case PayloadKind.CONSTANT:
                return bodies.decode_constant(body, shape, dtype)
            case PayloadKind.DIFFERENCES:
                return bodies.decode_differences(body, shape, padded_shape, dtype)
            case PayloadKind.UNIFORM:
                return bodies.decode_uniform(body, shape, padded_shape, dtype)
            case PayloadKind.LEVELS:
                return bodies.decode_levels(body, shape, padded_shape, dtype)
            case PayloadKind.LATTICE:
                return lattice_body.decode_lattice(body, shape, padded_shape, dtype)
        kind = PayloadKind(payload.kind).name.lower()
        raise ValueError(f"a payload is of kind {kind}, which this model does not decode")

    def _with_special_values(self, values: np.ndarray, payload: Payload) -> np.ndarray:
        """Put the special values of a payload into a chunk's decoded values."""
        values = np.ascontiguousarray(values)
        restore_special_values(values, payload.special_values, self._padded_shape)
        return values
