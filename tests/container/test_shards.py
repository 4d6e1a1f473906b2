import struct

from nvc_jax.container.shards import end_of_chunks, index_bytes

NOWHERE = (2**64 - 1, 2**64 - 1)


def make_index(*entries: tuple[int, int]) -> bytes:
    """Make the index of a shard: its entries, and a checksum of 4 bytes."""
    return b"".join(struct.pack("<QQ", *entry) for entry in entries) + bytes(4)


def test_chunks_end_behind_the_last_one_that_is_there() -> None:
    index = make_index((100, 20), NOWHERE, (0, 100), NOWHERE)
    assert len(index) == index_bytes((1, 2, 2))
    assert end_of_chunks(index) == 120


def test_a_shard_without_chunks_ends_at_once() -> None:
    assert end_of_chunks(make_index(NOWHERE, NOWHERE)) == 0
