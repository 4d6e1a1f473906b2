import itertools

import pytest

from nvc_jax.container.chunk_checksum import seal_chunk, unseal_chunk
from nvc_jax.core.byte_codecs import crc32c

GRID = (2, 3, 4)
INDICES = list(itertools.product(*map(range, GRID)))
IDENTITY, OTHER = b"8 bytes.", b"8 others"
PAYLOAD = b"a payload"


def test_chunks_come_back_in_their_place() -> None:
    for index in INDICES:
        stored = seal_chunk(PAYLOAD, IDENTITY, index, GRID)
        assert unseal_chunk(stored, IDENTITY, index, GRID) == PAYLOAD
        assert unseal_chunk(stored, IDENTITY, None, GRID) == PAYLOAD
        assert len(stored) == len(PAYLOAD) + 4


def test_the_first_chunk_has_the_checksum_of_payload_and_identity() -> None:
    stored = seal_chunk(PAYLOAD, IDENTITY, (0, 0, 0), GRID)
    assert int.from_bytes(stored[-4:], "little") == crc32c(PAYLOAD + IDENTITY)


def test_chunks_of_other_places_are_refused() -> None:
    for written, read in itertools.permutations(INDICES[:6], 2):
        stored = seal_chunk(PAYLOAD, IDENTITY, written, GRID)
        with pytest.raises(ValueError, match="the chunk of another place"):
            unseal_chunk(stored, IDENTITY, read, GRID)


@pytest.mark.parametrize("index", [(1, 2, 3), None])
def test_chunks_of_other_containers_and_damaged_ones_are_refused(index: tuple | None) -> None:
    stored = seal_chunk(PAYLOAD, IDENTITY, (1, 2, 3), GRID)
    with pytest.raises(ValueError, match="checksum does not match"):
        unseal_chunk(stored, OTHER, index, GRID)
    for position in range(len(stored) - 1):  # the last flips a high bit of the checksum
        damaged = bytearray(stored)
        damaged[position] ^= 32
        with pytest.raises(ValueError, match=r"checksum does not match|another place"):
            unseal_chunk(bytes(damaged), IDENTITY, (1, 2, 3), GRID)
    for length in range(5):
        with pytest.raises(ValueError, match=f"it has {length} bytes"):
            unseal_chunk(stored[:length], IDENTITY, index, GRID)


def test_grids_beyond_the_checksum_are_counted_modulo() -> None:
    grid, index = (1 << 20, 1 << 10, 1 << 10), (1 << 12, 3, 4)
    stored = seal_chunk(PAYLOAD, IDENTITY, index, grid)
    assert unseal_chunk(stored, IDENTITY, index, grid) == PAYLOAD
    with pytest.raises(ValueError, match="another place"):
        unseal_chunk(stored, IDENTITY, (1 << 12, 3, 5), grid)
