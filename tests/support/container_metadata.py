"""Metadata of small containers."""

from typing import Any

import numpy as np

from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.value_bytes import pack_values
from nvc_jax.container.metadata import ContainerMetadata

SHAPE, CHUNK, SHARD = (5, 8, 20), (8, 8, 8), (8, 16, 16)
METADATA = ContainerMetadata(
    shape=SHAPE,
    dtype="int16",
    chunk=CHUNK,
    model="nvc-1",
    sha256="0" * 64,
    target={"lossless": True},
    minimum=-3.0,
    maximum=40.0,
    max_error=0.0,
)
"""Metadata of a container of three chunks, whose model does not exist."""


def packed_payload(values: np.ndarray, **fields: Any) -> bytes:
    """A payload of packed values, which any transform codec decodes."""
    parts = {"kind": PayloadKind.PACKED, "max_error": 0.0, "body": pack_values(values)}
    return Payload(valid_shape=values.shape, **parts | fields).to_bytes(CHUNK)
