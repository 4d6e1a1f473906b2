"""Intermediate forms of a body by a transform coder, on the way to its bytes and back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.payload import PayloadKind


class TransformedChunk(NamedTuple):
    """A chunk coded by the transform.

    Attributes:
        body: header and stream.
        correction: from ``error_correction``; empty where no value needs one.
        decoded: the values that readers will decode, in the volume's dtype.
        reserve: largest difference from values that other devices decode, before they are rounded; 0 where
            no bound depends on it.
    """

    body: bytes
    correction: bytes
    decoded: np.ndarray
    reserve: float = 0.0


class CodedBody(NamedTuple):
    """A body whose correction and decoded values are not known yet.

    Attributes:
        body: header and stream.
        complete: finds what readers will decode and, under a bound, the correction; it returns None where the
            bound is too small for the transform.
        estimate: of the cost, as of ``DearChunk``; None if the coder states none.
        kind: of the payload.
    """

    body: bytes
    complete: Callable[[], TransformedChunk | None]
    estimate: float | None = None
    kind: PayloadKind = PayloadKind.SPECTRAL


class CodedStream(NamedTuple):
    """A body whose stream is not decoded yet.

    Attributes:
        chunk: the values that it codes.
        body: header and stream.
        decode: returns the decoded values, not rounded yet.
        reserve: as of ``TransformedChunk``.
        origin: as of ``ParsedBody``.
        estimate: as of ``CodedBody``.
    """

    chunk: ChunkValues
    body: bytes
    decode: Callable[[], np.ndarray]
    reserve: float
    origin: int
    estimate: float | None


class ParsedBody(NamedTuple):
    """A body taken apart.

    Attributes:
        stream: as the transform coder takes it.
        low, high: range of the chunk's valid values.
        origin: the value that unrounded values are relative to: ``low`` of int64 and uint64, else 0.
    """

    stream: Any
    low: float
    high: float
    origin: int = 0
