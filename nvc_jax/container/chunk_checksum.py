"""The checksum of a chunk, which also says of which container and at which place the chunk is.

Format version 1, see ``FORMAT.md``. The checksum takes four bytes behind the payload: CRC-32C of the payload
and the container's identity, xor the chunk's number in C order.
"""

import math
from collections.abc import Sequence

from nvc_jax.core.chunk_grid import ChunkIndex
from nvc_jax.native.checksums import crc32c

N_CHECKSUM_BYTES = 4
_MODULUS = 1 << 8 * N_CHECKSUM_BYTES


def seal_chunk(payload: bytes, identity: bytes, index: ChunkIndex, grid: Sequence[int]) -> bytes:
    """Append the checksum to a payload.

    Args:
        payload: at least one byte.
        identity: of the container.
        index: of the chunk along each axis.
        grid: chunks along each axis.
    """
    checksum = crc32c(payload + identity) ^ _number(index, grid)
    return payload + checksum.to_bytes(N_CHECKSUM_BYTES, "little")


def unseal_chunk(stored: bytes, identity: bytes, index: ChunkIndex | None, grid: Sequence[int]) -> bytes:
    """Check and remove the checksum that ``seal_chunk`` appended.

    Args:
        stored: payload and checksum.
        identity: of the container.
        index: of the chunk along each axis; None where it is not known. Then any chunk of the container
            passes.
        grid: chunks along each axis.

    Raises:
        ValueError: the chunk is damaged, of another container, or of another place.
    """
    if len(stored) <= N_CHECKSUM_BYTES:
        raise ValueError(f"it has {len(stored)} bytes")
    payload, checksum = stored[:-N_CHECKSUM_BYTES], int.from_bytes(stored[-N_CHECKSUM_BYTES:], "little")
    number = crc32c(payload + identity) ^ checksum
    if number >= min(math.prod(grid), _MODULUS):
        raise ValueError("its checksum does not match: its bytes have changed, or it is of another container")
    if index is not None and number != _number(index, grid):
        raise ValueError(
            f"it is the chunk of another place: its number is {number}, not {_number(index, grid)}"
        )
    return payload


def _number(index: ChunkIndex, grid: Sequence[int]) -> int:
    """Number of a chunk in C order, as far as the checksum holds it."""
    number = 0
    for position, side in zip(index, grid, strict=True):
        number = number * side + position
    return number % _MODULUS
