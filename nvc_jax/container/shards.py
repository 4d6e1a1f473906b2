"""Indices of shards: where each chunk of a stored object lies in it.

An index is at the end of a shard: offset and size of each chunk, uint64, and a checksum.
"""

import math
import struct
from collections.abc import Sequence

from nvc_jax.container.chunk_checksum import N_CHECKSUM_BYTES

_ENTRY = struct.Struct("<QQ")
"""Offset and size of a chunk."""
ENTRY_BYTES = _ENTRY.size
"""Bytes of the entry of a chunk."""
_NO_CHUNK = (2**64 - 1, 2**64 - 1)
"""Entry of a chunk that is not in the shard."""


def index_bytes(chunks_per_shard: Sequence[int]) -> int:
    """Count the bytes of the index of a shard, given its chunks along each axis."""
    return ENTRY_BYTES * math.prod(chunks_per_shard) + N_CHECKSUM_BYTES


def end_of_chunks(index: bytes) -> int:
    """Return the offset of the first byte behind the chunks of a shard; 0 where it has none."""
    entries = _ENTRY.iter_unpack(index[:-N_CHECKSUM_BYTES])
    return max((offset + size for offset, size in entries if (offset, size) != _NO_CHUNK), default=0)
