"""The payload of a chunk: a header and three sections of bytes; format version 1, see ``FORMAT.md``.

A payload states only what differs from the common case: a whole chunk without error, special values or
correction. Whole shape and dtype are those of the container.
"""

import enum
import math
import struct
from typing import NamedTuple

from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape

_KIND_BITS = 0x0F
"""Bits of the first byte that hold the kind; the others are flags."""
_MAX_ERROR = struct.Struct("<d")


_HAS_VALID_SHAPE, _HAS_MAX_ERROR, _HAS_SPECIAL_VALUES, _HAS_CORRECTION = 0x10, 0x20, 0x40, 0x80
"""Flags of the fields that a header has; without its flag a field has its default."""


class PayloadKind(enum.IntEnum):
    """Coding of a payload's body.

    Attributes:
        PACKED: the values' bytes, by a general lossless codec.
        CONSTANT: one value for all voxels.
        DIFFERENCES: differences of neighbouring values, lossless.
        UNIFORM: uniformly quantised values, as differences of neighbours.
        SPECTRAL: the stream of a transform coder: of nvc-1, or of any other model whose chunks decode alone.
        LATENTS: the latents of a block autoencoder.
        LEVELS: a table of few values, and for each voxel the index in it.
        LATTICE: values predicted on a lattice from coarse to fine.
        RANKS: a table of values, and the rank of each value in it on a lattice, lossless.
        LOGARITHMS: signs, and a payload of the logarithms of magnitudes.
        STEPS: a payload for each of several steps.
        PREDICTED: weights of a prediction from the step before, and the transformed difference from it.
    """

    PACKED = 0
    CONSTANT = 1
    DIFFERENCES = 2
    UNIFORM = 3
    SPECTRAL = 4
    LATENTS = 5
    LEVELS = 6
    LATTICE = 7
    RANKS = 8
    LOGARITHMS = 9
    STEPS = 10
    PREDICTED = 11


_KINDS = frozenset(PayloadKind)


class Payload(NamedTuple):
    """The parts of a payload.

    Attributes:
        kind: coding of the body.
        valid_shape: (z, y, x) voxels of the chunk that lie in the volume.
        max_error: largest difference from the original, in the volume's units, special values left out.
        body: coded values, as ``kind`` says.
        special_values: from ``special_values.encode_special_values``; empty where there are none.
        correction: of the body's decoded values; empty where there is none.
    """

    kind: int
    valid_shape: Shape3
    max_error: float
    body: bytes
    special_values: bytes = b""
    correction: bytes = b""

    @property
    def coded_bytes(self) -> int:
        """Bytes of the sections in which the ways of coding a chunk differ."""
        return len(self.body) + len(self.correction)

    @property
    def section_bytes(self) -> int:
        """Bytes of all sections: what a payload takes beside its header."""
        return self.coded_bytes + len(self.special_values)

    def to_bytes(self, whole_shape: Shape3) -> bytes:
        """Put the payload together.

        Args:
            whole_shape: (z, y, x) of a whole chunk.
        """
        fields = {}
        if self.valid_shape != whole_shape:
            fields[_HAS_VALID_SHAPE] = encode_varints(*self.valid_shape)
        if self.max_error != 0:
            fields[_HAS_MAX_ERROR] = _MAX_ERROR.pack(self.max_error)
        if self.special_values:
            fields[_HAS_SPECIAL_VALUES] = encode_varints(len(self.special_values))
        if self.correction:
            fields[_HAS_CORRECTION] = encode_varints(len(self.correction))
        header = bytes([self.kind | sum(fields)]) + b"".join(fields.values())
        return header + self.special_values + self.correction + self.body


def parse_payload(stored: bytes, whole_shape: Shape3) -> Payload:
    """Take a payload apart: the inverse of ``Payload.to_bytes``.

    Raises:
        ValueError: it is no payload of such a chunk, or cut short.
    """
    if not stored:
        raise ValueError("a payload of 0 bytes lacks its header")
    kind, position = stored[0] & _KIND_BITS, 1
    if kind not in _KINDS:
        raise ValueError(f"a payload states kind {kind}, which does not exist")
    valid_shape, max_error = whole_shape, 0.0
    if stored[0] & _HAS_VALID_SHAPE:
        valid_shape, position = _read_valid_shape(stored, position, whole_shape)
    if stored[0] & _HAS_MAX_ERROR:
        max_error, position = _read_max_error(stored, position)

    lengths: list[int] = []
    for flag in (_HAS_SPECIAL_VALUES, _HAS_CORRECTION):
        length = 0
        if stored[0] & flag:
            (length,), position = decode_varints(stored, 1, position)
            if not 0 < length <= len(stored) - position - sum(lengths):
                raise ValueError(f"a payload of {len(stored)} bytes states a section of {length}")
        lengths.append(length)
    correction_start = position + lengths[0]
    body_start = correction_start + lengths[1]
    return Payload(
        kind,
        valid_shape,
        max_error,
        body=stored[body_start:],
        special_values=stored[position:correction_start],
        correction=stored[correction_start:body_start],
    )


def _read_valid_shape(stored: bytes, position: int, whole_shape: Shape3) -> tuple[Shape3, int]:
    """Read a valid shape, which differs from the whole one; also return the offset behind it."""
    sides, position = decode_varints(stored, 3, position)
    is_within = all(1 <= side <= most for side, most in zip(sides, whole_shape, strict=True))
    if not is_within or tuple(sides) == whole_shape:
        raise ValueError(f"a payload states {tuple(sides)} voxels; a whole chunk has {whole_shape}")
    return check_shape(tuple(sides)), position


def _read_max_error(stored: bytes, position: int) -> tuple[float, int]:
    """Read a largest error, which is above 0; also return the offset behind it."""
    if len(stored) < position + _MAX_ERROR.size:
        raise ValueError(f"a payload of {len(stored)} bytes is cut short in its header")
    (max_error,) = _MAX_ERROR.unpack_from(stored, position)
    if not 0 < max_error < math.inf:
        raise ValueError(f"a payload states the largest error {max_error}")
    return max_error, position + _MAX_ERROR.size
