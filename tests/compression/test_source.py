import numpy as np
import pytest
from sources import NotedSource

from nvc_jax.chunks.value_range import find_value_range
from nvc_jax.compression.source import fingerprint, scan_source, to_bytes
from nvc_jax.io.volumes import open_volume

VOLUME = np.random.default_rng(0).normal(size=(21, 18, 35)).astype(np.float32)
CHUNK = (8, 16, 16)


def test_one_pass_finds_range_and_checksums() -> None:
    noted = NotedSource(VOLUME, CHUNK)
    value_range, checksums = scan_source(noted.store, CHUNK, ())
    assert value_range == find_value_range([VOLUME])
    assert sorted(noted.reads) == sorted(np.ndindex(3, 2, 3))
    assert checksums.shape == (3, 2, 3)
    assert len(to_bytes(checksums)) == 4 * checksums.size


@pytest.mark.parametrize("index", [(0, 0, 0), (9, 17, 20), (20, 17, 34)])
def test_any_voxel_changes_its_chunk_and_the_fingerprint(index: tuple[int, int, int]) -> None:
    changed = VOLUME.copy()
    changed[index] = np.nextafter(changed[index], np.float32(0))
    _, before = scan_source(open_volume(VOLUME), CHUNK, ())
    _, after = scan_source(open_volume(changed), CHUNK, ())
    chunk = tuple(i // side for i, side in zip(index, CHUNK, strict=True))
    assert list(zip(*np.nonzero(before != after), strict=True)) == [chunk]
    assert fingerprint(before) != fingerprint(after)


def test_checksums_do_not_depend_on_the_order_of_bytes_in_memory() -> None:
    _, expected = scan_source(open_volume(VOLUME), CHUNK, ())
    _, transposed = scan_source(open_volume(np.asfortranarray(VOLUME)), CHUNK, ())
    np.testing.assert_array_equal(transposed, expected)


@pytest.mark.parametrize("side", [8, 40, 130])
def test_chunks_of_any_size_are_read_at_once(side: int) -> None:
    volume = np.zeros((2, 3, 300), np.uint8)
    noted = NotedSource(volume, (2, 3, 1))
    _, checksums = scan_source(noted.store, (8, 8, side), ())
    assert checksums.shape == (1, 1, -(-300 // side))
    assert len(noted.reads) == 300
