"""The payload of a chunk: a header and three sections of bytes; format version 1, see ``FORMAT.md``."""

import enum
import itertools
import struct
from typing import NamedTuple

import numpy as np

from nvc_jax.core.dtypes import DTYPES
from nvc_jax.core.shapes import Shape3

_MAGIC = b"nvc\x01"
_HEADER = struct.Struct("<4sBBBxIIIdIII")


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
    """

    PACKED = 0
    CONSTANT = 1
    DIFFERENCES = 2
    UNIFORM = 3
    SPECTRAL = 4
    LATENTS = 5
    LEVELS = 6
    LATTICE = 7


class Payload(NamedTuple):
    """The parts of a payload.

    Attributes:
        kind: coding of the body.
        valid_shape: (z, y, x) voxels of the chunk that lie in the volume.
        dtype: of the volume.
        max_error: largest difference from the original, in the volume's units, special values left out.
        body: coded values, as ``kind`` says.
        special_values: from ``special_values.encode_special_values``; empty where there are none.
        correction: of the body's decoded values; empty where there is none.
    """

    kind: int
    valid_shape: Shape3
    dtype: np.dtype
    max_error: float
    body: bytes
    special_values: bytes = b""
    correction: bytes = b""

    @property
    def coded_bytes(self) -> int:
        """Bytes of the sections in which the ways of coding a chunk differ."""
        return len(self.body) + len(self.correction)

    def to_bytes(self) -> bytes:
        """Put the payload together."""
        sections = (self.body, self.special_values, self.correction)
        header = _HEADER.pack(
            *(_MAGIC, self.kind, DTYPES.index(str(self.dtype)), 0),
            *(*self.valid_shape, self.max_error, *map(len, sections)),
        )
        return header + b"".join(sections)


def parse_payload(payload: bytes) -> Payload:
    """Take a payload apart.

    Raises:
        ValueError: it is no payload, or cut short.
    """
    if len(payload) < _HEADER.size:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its header of {_HEADER.size}")
    magic, kind, dtype, _, z, y, x, max_error, *lengths = _HEADER.unpack_from(payload)
    if magic != _MAGIC:
        raise ValueError(f"a payload begins with {magic!r}, not with {_MAGIC!r}")
    if kind not in list(PayloadKind) or dtype >= len(DTYPES):
        raise ValueError(f"a payload states kind {kind} and dtype {dtype}, which do not exist")
    n_bytes = _HEADER.size + sum(lengths)
    if len(payload) != n_bytes:
        raise ValueError(f"a payload has {len(payload)} bytes; its header states {n_bytes}")
    ends = (_HEADER.size + np.cumsum([0, *lengths])).tolist()
    sections = (payload[start:end] for start, end in itertools.pairwise(ends))
    return Payload(kind, (z, y, x), np.dtype(DTYPES[dtype]), max_error, *sections)
