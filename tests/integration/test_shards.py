"""Containers whose chunks are stored several to an object."""

from pathlib import Path

import numpy as np
import pytest
from sample_volume import CHUNK, SHARD, VOLUME
from stored_files import read_files

import nvc_jax
from nvc_jax.container.store import open_container


def test_shards_hold_the_same_chunks(plain: Path, sharded: Path, decoded: np.ndarray) -> None:
    assert len(list((sharded / "c").rglob("*/*/*"))) == 2 * 2 * 1
    one, other = open_container(plain), open_container(sharded)
    assert list(one.chunks()) == list(other.chunks())
    for index in one.chunks():
        assert one.read(index) == other.read(index)
    np.testing.assert_array_equal(nvc_jax.open(sharded).read().result(), decoded)
    nvc_jax.verify(VOLUME, sharded)


def test_shards_of_one_chunk_are_chunks(tmp_path: Path, plain: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK, shards=CHUNK)
    assert read_files(tmp_path / "v.zarr") == read_files(plain)


def test_many_chunks_are_sharded_by_default(tmp_path: Path) -> None:
    nvc_jax.compress(np.zeros((72, 72, 72), np.uint8), tmp_path / "v.zarr", lossless=True, chunks=(8, 8, 8))
    assert nvc_jax.info(tmp_path / "v.zarr")["shard"] == [32, 32, 32]
    assert not nvc_jax.open(tmp_path / "v.zarr").read().result().any()


@pytest.mark.parametrize("cut", [0, 1, 3, 40, -5, -1])
def test_damaged_shards_are_found(cut: int, sharded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, copy, max_error=2, chunks=CHUNK, shards=SHARD)
    path = copy / "c" / "1" / "0" / "0"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(2, 0, 0\)"):
        nvc_jax.decompress(copy, tmp_path / "v.npy")
    np.testing.assert_array_equal(
        nvc_jax.open(copy)[:16].read().result(), nvc_jax.open(sharded)[:16].read().result()
    )


def test_a_damaged_shard_is_written_anew(sharded: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD, part=(0, 2))
    shard = next(iter(sorted((tmp_path / ".v.zarr.partial" / "c").rglob("*/*/*"))))
    shard.write_bytes(shard.read_bytes()[:-9])
    for part in (0, 1):
        nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD, part=(part, 2))
    assert read_files(path) == read_files(sharded)
