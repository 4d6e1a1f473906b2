"""Chunks that hold several steps, each coded by itself or predicted from the decoded step before it."""

from collections.abc import Iterator, Sequence

import numpy as np

from nvc_jax.chunks.candidates import Candidate, squared_unit
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.payload_codec import MeasuredChunk, PayloadCodec
from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.chunks.step_payload import join_steps, split_steps
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.shapes import Shape3

PreparedSteps = Sequence[PreparedChunk]
"""The steps of a chunk, ready to be encoded by several targets."""


class StepCodec(PayloadCodec):
    """Encodes and decodes chunks of several steps.

    The values of a chunk are (step, z, y, x).

    Args:
        steps: codec of single steps.
        whole_shape: (z, y, x) voxels of a step of a whole chunk.
        n_steps: number of steps of a whole chunk, above 1.
    """

    def __init__(self, steps: ChunkCodec, whole_shape: Shape3, n_steps: int) -> None:
        self._steps, self._whole_shape, self._n_steps = steps, whole_shape, n_steps

    @property
    def coder(self) -> TransformCoder:
        """Transform coder of the model."""
        return self._steps.coder

    def with_coder(self, coder: TransformCoder) -> "StepCodec":
        """Make a codec of the same chunks by another coder of the model."""
        return StepCodec(self._steps.with_coder(coder), self._whole_shape, self._n_steps)

    def prepare(self, values: np.ndarray) -> PreparedSteps:
        """Prepare a chunk that is encoded by several targets: (step, z, y, x) voxels."""
        return [self._steps.prepare(step) for step in values]

    def encode_prepared(
        self,
        prepared: PreparedSteps,
        target: ChunkTarget,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> bytes:
        """Encode a prepared chunk; see ``PayloadCodec.encode_prepared``."""
        return self._join(self._encode_steps(prepared, target, boundaries, experience))

    def encode_and_measure(
        self,
        prepared: PreparedSteps,
        step: float,
        boundaries: int = 0,
        experience: Experience = NO_EXPERIENCE,
    ) -> MeasuredChunk:
        """Encode a prepared chunk with a step of the quantiser, under no bound; as ``encode``."""
        target = ChunkTarget(None, step)
        coded = self._encode_steps(prepared, target, boundaries, experience)
        squared_error = sum(one.squared_error for one in coded)
        n_valid = sum(one.chunk.n_valid for one in prepared)
        return MeasuredChunk(self._join(coded), squared_error, squared_unit(target), n_valid)

    def _join(self, coded: Sequence[Candidate]) -> bytes:
        """Put the payload of a chunk together."""
        payloads = [one.payload for one in coded]
        return join_steps(payloads, payloads[0].valid_shape).to_bytes(self._whole_shape)

    def _encode_steps(
        self, prepared: PreparedSteps, target: ChunkTarget, boundaries: int, experience: Experience
    ) -> list[Candidate]:
        """Encode one step after the other."""
        predicts = self._steps.may_predict(target)
        coded: list[Candidate] = []
        body, reserve = None, 0.0
        for step in prepared:
            prediction = None if body is None else self._steps.predict(step, body, reserve)
            coded.append(self._steps.encode_step(step, target, boundaries, experience, prediction))
            if predicts and len(coded) < len(prepared):
                payload = coded[-1].payload
                # Predicted is what readers know: so the step is decoded as they will.
                body = self._steps.decode_body(payload, body)
                if target.max_error is not None:
                    reserve = self._steps.decoding_reserve(payload, prediction)
        return coded

    def parse(self, stored: bytes) -> list[Payload]:
        """Take a payload apart: one for each step; see ``PayloadCodec.parse``."""
        return split_steps(parse_payload(stored, self._whole_shape), self._n_steps)

    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume: (step, z, y, x).

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        steps = self.parse(payload)
        decoded = (
            self._steps.restore(body, step)
            for step, body in zip(steps, self._decode_bodies(steps, is_all=True), strict=True)
            if body is not None
        )
        return _stack(decoded, len(steps))

    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode about the means of blocks of 8³ voxels of each step: (step, z, y, x) blocks.

        Of a transform's streams only the DC coefficients are decoded, unless a step is predicted or the next
        one is predicted from it. Blocks without valid values and errors are as of ``ChunkCodec``.
        """
        steps = self.parse(payload)
        bodies = zip(steps, self._decode_bodies(steps, is_all=False), strict=True)
        return _stack((self._steps.preview(step, body) for step, body in bodies), len(steps))

    def _decode_bodies(self, steps: Sequence[Payload], *, is_all: bool) -> Iterator[np.ndarray | None]:
        """Decode the bodies of steps, each into an array that may be changed.

        Args:
            steps: of a chunk.
            is_all: whether to decode all of them; else only those that are predicted, or by which the next
                one is. The others are None.
        """
        before: np.ndarray | None = None
        is_predicted = [step.kind == PayloadKind.PREDICTED for step in steps]
        for step, own, next_one in zip(steps, is_predicted, [*is_predicted[1:], False], strict=True):
            body = self._steps.decode_body(step, before) if is_all or own or next_one else None
            before = body.copy() if body is not None and next_one and step.special_values else body
            yield body


def _stack(steps: Iterator[np.ndarray], n_steps: int) -> np.ndarray:
    """Stack arrays as they come, so that only one of them is there beside the result."""
    first = next(steps)
    stacked = np.empty((n_steps, *first.shape), first.dtype)
    stacked[0] = first
    for number, step in enumerate(steps, 1):
        stacked[number] = step
    return stacked


def make_payload_codec(
    coder: TransformCoder,
    padded_shape: Shape3,
    dtype: np.dtype,
    value_range: ValueRange | None,
    whole_shape: Shape3,
    n_steps: int,
) -> PayloadCodec:
    """Make the codec of the chunks of a container.

    Args:
        coder: transform coder of a model.
        padded_shape: (z, y, x) for which programs are compiled.
        dtype: of the volume.
        value_range: of the volume; None for no rules.
        whole_shape: (z, y, x) voxels of a whole chunk, or of one of its steps.
        n_steps: number of steps of a whole chunk; 1 for chunks without a step axis.
    """
    steps = ChunkCodec(coder, padded_shape, dtype, value_range, whole_shape)
    if n_steps == 1:
        return steps
    return StepCodec(steps, whole_shape, n_steps)
