"""A chunk of a volume to a payload of bytes and back: format version 1, see ``FORMAT.md``.

A payload states the largest error of its decoded values.
"""

import functools

import numpy as np

from nvc_jax.chunks.body_decoder import BodyDecoder
from nvc_jax.chunks.candidates import Candidate, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.payload_codec import MeasuredChunk, PayloadCodec
from nvc_jax.chunks.payload_encoder import PayloadEncoder
from nvc_jax.chunks.pointwise_encoder import PointwiseEncoder
from nvc_jax.chunks.predicted_body import PredictedBodyCodec, StepTransform
from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE, block_means, show_special_blocks
from nvc_jax.chunks.special_values import restore_special_values
from nvc_jax.chunks.step_prediction import StepPrediction, predict_step
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.dtypes import ignoring_nan, is_narrow
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.idle_cores import keeping_core


class ChunkCodec(PayloadCodec):
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
        self._predicted = PredictedBodyCodec(coder, padded_shape, self._dtype)
        self._rules = (self._decoded_range, self._value_range.exact_values)
        self._encoder = PayloadEncoder(self._transform, self._bodies, padded_shape, *self._rules)
        self._pointwise = PointwiseEncoder(self._encoder, self._bodies, coder, padded_shape, *self._rules)

    @property
    def coder(self) -> TransformCoder:
        """Transform coder of the model."""
        return self._transform.coder

    def with_coder(self, coder: TransformCoder) -> "ChunkCodec":
        """Make a codec of the same chunks by another coder of the model."""
        return self._make_codec(coder)

    @keeping_core
    def prepare(self, values: np.ndarray) -> PreparedChunk:
        """Prepare a chunk that is encoded by several targets: (z, y, x) voxels, as of ``encode``."""
        with ignoring_nan(self._dtype):
            return PreparedChunk(self._examine(values), self._padded_shape)

    def encode_prepared(
        self,
        prepared: PreparedChunk,
        target: ChunkTarget,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> bytes:
        """Encode a prepared chunk; see ``PayloadCodec.encode_prepared``."""
        return self.encode_step(prepared, target, boundaries, experience).payload.to_bytes(self._whole_shape)

    def encode_and_measure(
        self,
        prepared: PreparedChunk,
        step: float,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> MeasuredChunk:
        """Encode a prepared chunk with a step, under no bound; as ``encode``."""
        target = ChunkTarget(None, step)
        payload, squared_error = self.encode_step(prepared, target, boundaries, experience)
        stored, n_valid = payload.to_bytes(self._whole_shape), prepared.chunk.n_valid
        return MeasuredChunk(stored, squared_error, squared_unit(target), n_valid)

    @keeping_core
    def encode_step(
        self,
        prepared: PreparedChunk,
        target: ChunkTarget,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
        prediction: StepPrediction | None = None,
    ) -> Candidate:
        """Encode a prepared chunk, which may be a step that is predicted; its error counts without a bound.

        Args:
            prepared: the chunk.
            target: bound and step that the payload must keep to.
            boundaries: as of ``encode``.
            experience: as of ``encode_prepared``.
            prediction: of the step; None where there is none.
        """
        with ignoring_nan(self._dtype):
            if target.pointwise_error is None:
                encoder = self._encoder if prediction is None else self._predicting(prediction)
                return encoder.encode(prepared, target, boundaries, experience)
            assert target.step is not None  # the volume's encoder chooses it
            with np.errstate(invalid="ignore"):  # NaN is cast to float64
                payload = self._pointwise.encode(prepared, target.pointwise_error, target.step)
            return Candidate(payload, 0.0)

    def may_predict(self, target: ChunkTarget) -> bool:
        """Tell whether steps may be predicted under a target.

        Rounding to integers, or to float16, would make differences between devices grow: so a bound is kept
        without prediction unless decoded values are not rounded.
        """
        is_transformed = target.pointwise_error is None and target.max_error != 0
        return (
            is_transformed
            and is_narrow(self._dtype)
            and (target.max_error is None or self._dtype == np.float32)
        )

    @keeping_core
    def predict(self, prepared: PreparedChunk, before: np.ndarray, reserve: float) -> StepPrediction | None:
        """Predict a prepared step; see ``predict_step``."""
        with ignoring_nan(self._dtype):
            return predict_step(before, prepared.chunk, self._padded_shape, reserve)

    def decoding_reserve(self, payload: Payload, prediction: StepPrediction | None) -> float:
        """Bound the difference between the values of a body decoded here and on any other device."""
        if payload.kind == PayloadKind.SPECTRAL:
            return self._transform.decoding_reserve(payload.body)
        if payload.kind == PayloadKind.PREDICTED and prediction is not None:
            return self._predicted.decoding_reserve(payload.body, prediction)
        return 0.0

    def _predicting(self, prediction: StepPrediction) -> PayloadEncoder:
        """Make an encoder that transforms the difference from a prediction where that is cheaper."""
        transform = StepTransform(self._transform, self._predicted, prediction)
        return PayloadEncoder(transform, self._bodies, self._padded_shape, *self._rules)

    def parse(self, stored: bytes) -> list[Payload]:
        """Take a payload apart: one step."""
        return [parse_payload(stored, self._whole_shape)]

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
        return self.restore(self.decode_body(parsed), parsed)

    def decode_body(self, payload: Payload, before: np.ndarray | None = None) -> np.ndarray:
        """Decode the body of a payload: values by which a next step may be predicted.

        Args:
            payload: taken apart.
            before: what this method returned for the step before; None without one.
        """
        return self._bodies.decode(payload, before)

    @keeping_core
    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode about the means of a chunk's blocks of 8³ voxels: (z, y, x) blocks, in the volume's dtype.

        Of a transform's streams only the DC coefficients are decoded. A block without valid values shows its
        first value.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        return self.preview(parse_payload(payload, self._whole_shape))

    def preview(self, payload: Payload, decoded: np.ndarray | None = None) -> np.ndarray:
        """Decode a preview; as ``decode_preview``.

        Args:
            payload: taken apart.
            decoded: what ``decode_body`` has returned; None where that was not called.
        """
        if decoded is None and payload.kind == PayloadKind.SPECTRAL:
            means = self._transform.decode_preview(payload.body, payload.valid_shape, PREVIEW_BLOCK_SIZE)
        else:
            means = block_means(self._bodies.decode(payload) if decoded is None else decoded)
        return self._in_volume_dtype(
            show_special_blocks(means, payload, self._padded_shape, self._decoded_range)
        )

    def restore(self, decoded: np.ndarray, payload: Payload) -> np.ndarray:
        """Make the chunk's values of what ``decode_body`` returned: within the range, with special values.

        The decoded values may be those that change.
        """
        values = self._decoded_range.enforce(decoded, self._bodies.limits(payload))
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
