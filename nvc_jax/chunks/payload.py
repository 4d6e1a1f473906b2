"""Payloads and their parts as bytes: format version 1, specified in ``FORMAT.md``."""

import itertools
import math
import struct
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.error_correction import Correction
from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.sparse_integers import decode_sparse, encode_sparse

PACKED, CONSTANT, DIFFERENCES, LATTICE, SPECTRAL, LATENTS = range(6)
"""Kinds of payloads: the values' bytes, one value, differences of the values' bit patterns, or of points of a
lattice, the stream of a spectral model, and the latents of a block autoencoder."""

_MAGIC = b"nvc\x01"
_HEAD = struct.Struct("<4sBBBxIIIdIII")
_METHODS = ("none", "zstd", "blosc")


class Payload(NamedTuple):
    """The parts of a payload.

    Attributes:
        kind: one of the kinds.
        shape: (z, y, x) of the chunk's part that lies in the volume.
        dtype: of the volume.
        max_error: largest difference from the original, in the volume's units, special values left out.
        body: what the kind says.
        specials: of ``specials.encode_specials``.
        correction: of the body's decoded values; empty where there is none.
    """

    kind: int
    shape: Shape3
    dtype: np.dtype
    max_error: float
    body: bytes
    specials: bytes
    correction: bytes

    def to_bytes(self) -> bytes:
        """The payload."""
        sections = (self.body, self.specials, self.correction)
        head = _HEAD.pack(
            *(_MAGIC, self.kind, DTYPES.index(str(self.dtype)), 0),
            *(*self.shape, self.max_error, *map(len, sections)),
        )
        return head + b"".join(sections)


def parse_payload(payload: bytes) -> Payload:
    """Take a payload apart.

    Raises:
        ValueError: it is none, or cut short.
    """
    if len(payload) < _HEAD.size:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its head of {_HEAD.size}")
    magic, kind, dtype, _, z, y, x, max_error, *lengths = _HEAD.unpack_from(payload)
    if magic != _MAGIC:
        raise ValueError(f"a payload begins with {magic!r}, not with {_MAGIC!r}")
    if kind > LATENTS or dtype >= len(DTYPES):
        raise ValueError(f"a payload names kind {kind} and dtype {dtype}, which there are not")
    if len(payload) != _HEAD.size + sum(lengths):
        raise ValueError(f"a payload has {len(payload)} bytes; its head says {_HEAD.size + sum(lengths)}")
    ends = (_HEAD.size + np.cumsum([0, *lengths])).tolist()
    sections = (payload[start:end] for start, end in itertools.pairwise(ends))
    return Payload(kind, (z, y, x), np.dtype(DTYPES[dtype]), max_error, *sections)


def to_little_endian(values: np.ndarray) -> np.ndarray:
    """Values as they are stored."""
    return values.astype(values.dtype.newbyteorder("<"))


def pack_values(values: np.ndarray) -> bytes:
    """The bytes of values as they are, or by the general codec that makes the fewest of them."""
    raw = to_little_endian(values).tobytes()
    packed = [raw, *(encode_bytes(raw, method, values.dtype.itemsize) for method in _METHODS[1:])]
    method = min(range(len(_METHODS)), key=lambda index: len(packed[index]))
    return bytes([method]) + packed[method]


def unpack_values(body: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The inverse of ``pack_values``.

    Raises:
        ValueError: the bytes cannot be of such values.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if not body or body[0] >= len(_METHODS):
        raise ValueError(f"packed values name method {body[:1]!r}")
    method, packed = _METHODS[body[0]], body[1:]
    raw = packed if method == "none" else decode_bytes(packed, method, n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"packed values take {len(raw)} bytes; there must be {n_bytes}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def pack_correction(correction: Correction, shape: Shape3) -> bytes:
    """The bytes of a correction of a volume (z, y, x)."""
    head = struct.pack("<dI", correction.spacing, len(correction.exact_positions))
    positions = correction.exact_positions.astype("<u4").tobytes()
    exact = positions + to_little_endian(correction.exact_values).tobytes()
    return head + exact + encode_sparse(correction.positions, correction.multiples, shape)


def unpack_correction(stored: bytes, shape: Shape3, dtype: np.dtype) -> Correction:
    """The inverse of ``pack_correction``, for a volume of ``dtype``.

    Raises:
        ValueError: the bytes cannot be of such a correction.
    """
    if len(stored) < 12:
        raise ValueError(f"a correction of {len(stored)} bytes lacks its head of 12")
    spacing, n_exact = struct.unpack_from("<dI", stored)
    size, n = dtype.itemsize, math.prod(shape)
    start = 12 + n_exact * (4 + size)
    if not (math.isfinite(spacing) and n_exact <= n and start <= len(stored)):
        raise ValueError(f"a correction has the spacing {spacing} and {n_exact} exact values")
    positions = np.frombuffer(stored, "<u4", n_exact, 12).astype(np.int64)
    if n_exact and int(positions.max()) >= n:
        raise ValueError(f"a correction has an exact value at {positions.max()} of {n}")
    values = np.frombuffer(stored, dtype.newbyteorder("<"), n_exact, 12 + 4 * n_exact)
    return Correction(*decode_sparse(stored[start:], shape), spacing, positions, values)
