"""The payload of a chunk with several steps: one payload for each of them, in order."""

from collections.abc import Sequence

from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape, Shape3

_NO_STEPS = frozenset({PayloadKind.STEPS, PayloadKind.LATENTS})
"""Kinds that payloads of single steps do not have."""


def join_steps(steps: Sequence[Payload], valid_shape: Shape3) -> Payload:
    """Join the payloads of steps.

    Args:
        steps: at least one payload, each of ``valid_shape``.
        valid_shape: (z, y, x) voxels of each step that lie in the volume.
    """
    stored = [step.to_bytes(valid_shape) for step in steps]
    body = encode_varints(len(stored), *map(len, stored)) + b"".join(stored)
    return Payload(PayloadKind.STEPS, valid_shape, max(step.max_error for step in steps), body)


def stated_shape(payload: Payload, n_steps: int) -> Shape:
    """Return the shape of the values that a payload states to have, before any of them is decoded.

    Args:
        payload: of a chunk.
        n_steps: number of steps of a whole chunk; 1 for chunks without a step axis.

    Returns:
        (z, y, x), and the number of steps in front of it if chunks have a step axis.

    Raises:
        ValueError: a chunk with a step axis has no steps, or more than a whole one.
    """
    if n_steps == 1:
        return payload.valid_shape
    count, _ = _count_steps(payload, n_steps)
    return (count, *payload.valid_shape)


def split_steps(payload: Payload, n_steps: int) -> list[Payload]:
    """Take the payload of a chunk apart: the inverse of ``join_steps``.

    Args:
        payload: of the chunk.
        n_steps: number of steps of a whole chunk.

    Raises:
        ValueError: the payload is not of such a chunk.
    """
    count, position = _count_steps(payload, n_steps)
    body, shape = payload.body, payload.valid_shape
    if payload.special_values or payload.correction:
        raise ValueError("a payload of steps has special values or a correction of its own")
    lengths, position = decode_varints(body, count, position)
    if sum(lengths) != len(body) - position:
        raise ValueError(f"steps of {sum(lengths)} bytes are stated, and {len(body) - position} are there")
    steps = []
    for length in lengths:
        step = parse_payload(body[position : position + length], shape)
        if step.kind in _NO_STEPS or step.valid_shape != shape:
            kind = PayloadKind(step.kind).name.lower()
            raise ValueError(f"a step of {shape} voxels is of kind {kind}, and has {step.valid_shape}")
        steps.append(step)
        position += length
    if steps[0].kind == PayloadKind.PREDICTED:
        raise ValueError("the first step of a chunk is predicted, but there is none before it")
    return steps


def _count_steps(payload: Payload, n_steps: int) -> tuple[int, int]:
    """Read the number of steps; also return the offset behind it."""
    if payload.kind != PayloadKind.STEPS:
        kind = PayloadKind(payload.kind).name.lower()
        raise ValueError(f"a payload of several steps is of kind {kind}")
    (count,), position = decode_varints(payload.body, 1)
    if not 1 <= count <= n_steps:
        raise ValueError(f"a payload states {count} steps; a whole chunk has {n_steps}")
    return count, position
