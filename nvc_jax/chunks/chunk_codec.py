"""A chunk of a volume to a payload of bytes and back: format version 1, see ``FORMAT.md``.

A payload states the largest error of its decoded values.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidates import squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.gathered_coder import map_with_coders
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.payload_encoder import PayloadEncoder
from nvc_jax.chunks.pointwise_encoder import PointwiseEncoder
from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE, block_means, show_special_blocks
from nvc_jax.chunks.special_values import restore_special_values
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkTarget, ValueRange
from nvc_jax.core.device_batches import batch_size_in_use, pad_to_batch
from nvc_jax.core.dtypes import ignoring_nan
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.idle_cores import keeping_core


class MeasuredChunk(NamedTuple):
    """A coded chunk and the error of what it decodes to.

    Attributes:
        stored: the payload's bytes.
        squared_error: sum over the valid voxels, in squares of ``unit``.
        unit: in the volume's units.
        n_valid: number of valid voxels.
    """

    stored: bytes
    squared_error: float
    unit: float
    n_valid: int


class ChunkCodec(ChunkDecoder):
    """Encodes and decodes chunks of one padded shape and dtype, each by itself.

    Args:
        coder: transform coder of a model.
        padded_shape: (z, y, x) of a whole chunk, for which programs are compiled.
        dtype: of the volume.
        value_range: of the volume, with the rules that its values follow; None for no rules.
        whole_shape: (z, y, x) voxels of a whole chunk, whose payload does not state them; the padded shape if
            None.
    """

    def __init__(
        self,
        coder: TransformCoder,
        padded_shape: Shape3,
        dtype: np.dtype,
        value_range: ValueRange | None = None,
        whole_shape: Shape3 | None = None,
    ) -> None:
        self._make_codec = functools.partial(
            ChunkCodec,
            padded_shape=padded_shape,
            dtype=dtype,
            value_range=value_range,
            whole_shape=whole_shape,
        )
        self._whole_shape = whole_shape or padded_shape
        self._value_range = value_range or ValueRange(0.0, 0.0)
        self._volume_dtype = np.dtype(dtype)
        # False and true are coded as 0 and 1.
        self._dtype = np.dtype(np.uint8) if self._volume_dtype.kind == "b" else self._volume_dtype
        self._decoded_range, self._padded_shape = DecodedRange(self._dtype, value_range), padded_shape
        self._transform = TransformBodyCodec(coder, padded_shape, self._dtype)
        self._bodies = BodyDecoder(self._transform, padded_shape, self._dtype)
        rules = (self._decoded_range, self._value_range.exact_values)
        self._encoder = PayloadEncoder(self._transform, self._bodies, padded_shape, *rules)
        self._pointwise = PointwiseEncoder(self._encoder, self._bodies, coder, padded_shape, *rules)

    def with_coder(self, coder: TransformCoder) -> "ChunkCodec":
        """Make a codec of the same chunks by another coder of the model."""
        return self._make_codec(coder)

    def encode(self, values: np.ndarray, target: ChunkTarget, boundaries: int = 0) -> bytes:
        """Encode a chunk.

        Args:
            values: (z, y, x) voxels that lie in the volume, of the volume's dtype.
            target: bound and step that the payload must keep to.
            boundaries: bits of the chunk boundaries at which the chunk meets others.

        Returns:
            The cheapest payload that keeps to the target.
        """
        return self.encode_prepared(self.prepare(values), target, boundaries)

    @keeping_core
    def prepare(self, values: np.ndarray) -> PreparedChunk:
        """Prepare a chunk that is encoded by several targets: (z, y, x) voxels, as of ``encode``."""
        with ignoring_nan(self._dtype):
            return PreparedChunk(self._examine(values), self._padded_shape)

    @keeping_core
    def encode_prepared(
        self,
        prepared: PreparedChunk,
        target: ChunkTarget,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> bytes:
        """Encode a prepared chunk; as ``encode``, with experience by which ways of coding are left out."""
        with ignoring_nan(self._dtype):
            if target.pointwise_error is None:
                payload = self._encoder.encode(prepared, target, boundaries, experience).payload
            else:
                assert target.step is not None  # the volume's encoder chooses it
                with np.errstate(invalid="ignore"):  # NaN is cast to float64
                    payload = self._pointwise.encode(prepared, target.pointwise_error, target.step)
        return payload.to_bytes(self._whole_shape)

    @keeping_core
    def encode_and_measure(
        self,
        prepared: PreparedChunk,
        step: float,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> MeasuredChunk:
        """Encode a prepared chunk with a step, under no bound; as ``encode``."""
        target = ChunkTarget(None, step)
        with ignoring_nan(self._dtype):
            payload, squared_error = self._encoder.encode(prepared, target, boundaries, experience)
        n_valid = prepared.chunk.n_valid
        return MeasuredChunk(
            payload.to_bytes(self._whole_shape), squared_error, squared_unit(target), n_valid
        )

    def _examine(self, values: np.ndarray) -> ChunkValues:
        rules = self._value_range
        return ChunkValues.examine(values.view(self._dtype), rules.missing_values, rules.valid_limits)

    @keeping_core
    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        parsed = parse_payload(payload, self._whole_shape)
        return self._with_special_values(self._bodies.decode(parsed), parsed)

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device decodes together: 1 on CPUs, else as many as fit into it."""
        return batch_size_in_use(self._transform.coder.decoding_bytes)

    def decode_together(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks, the streams of all in few calls of the device; errors as of ``decode``."""
        if self.batch_size == 1 or len(payloads) <= 1:
            return [self.decode(payload) for payload in payloads]

        def decode(payload: bytes, coder: TransformCoder) -> np.ndarray:
            return self.with_coder(coder).decode(payload)

        batch_size = pad_to_batch(len(payloads), self.batch_size)
        return list(map_with_coders(decode, payloads, self._transform.coder, batch_size))

    @keeping_core
    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode about the means of a chunk's blocks of 8³ voxels: (z, y, x) blocks, in the volume's dtype.

        Of a transform's streams only the DC coefficients are decoded. A block without valid values shows its
        first value.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        parsed = parse_payload(payload, self._whole_shape)
        if parsed.kind == PayloadKind.SPECTRAL:
            means = self._transform.decode_preview(parsed.body, parsed.valid_shape, PREVIEW_BLOCK_SIZE)
        else:
            means = block_means(self._bodies.decode(parsed))
        return self._in_volume_dtype(
            show_special_blocks(means, parsed, self._padded_shape, self._decoded_range)
        )

    def _with_special_values(self, values: np.ndarray, payload: Payload) -> np.ndarray:
        """Put the special values of a payload into a chunk's decoded values."""
        values = self._decoded_range.enforce(values, self._bodies.limits(payload))
        if payload.special_values:
            values = np.require(values, requirements=["C", "W"])
            restore_special_values(values, payload.special_values, self._padded_shape)
        return self._in_volume_dtype(values)

    def _in_volume_dtype(self, values: np.ndarray) -> np.ndarray:
        """View decoded values in the volume's dtype.

        Raises:
            ValueError: a value of a bool volume is neither 0 nor 1.
        """
        if self._volume_dtype != self._dtype and values.max() > 1:
            raise ValueError(f"a chunk of bool holds the value {values.max()}")
        return values.view(self._volume_dtype)
