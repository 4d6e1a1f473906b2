import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from container_metadata import CHUNK, METADATA, SHAPE, SHARD, packed_payload

from nvc_jax.container.metadata import METADATA_KEY, ContainerMetadata, FormatError
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.core.chunk_grid import chunk_valid_shape
from nvc_jax.io.locations import open_directory

SHARDED = dataclasses.replace(METADATA, shard=SHARD)
LAYOUTS = pytest.mark.parametrize("metadata", [METADATA, SHARDED], ids=["chunks", "shards"])
PAYLOADS = {
    (0, 0, x): packed_payload(
        np.full(chunk_valid_shape((0, 0, x), CHUNK, SHAPE), x, np.int16), max_error=float(x)
    )
    for x in range(3)
}


def write(store: ContainerStore, *, skip: tuple[int, ...] | None = None) -> int:
    """Write the objects of a store except one; the bytes of the objects."""
    n_bytes = 0
    for index in store.objects():
        if index != skip:
            payloads = {chunk: PAYLOADS[chunk] for chunk in store.chunks_of(index)}
            n_bytes += store.write_object(index, payloads)
    return n_bytes


def make_store(directory: Path, metadata: ContainerMetadata) -> ContainerStore:
    return ContainerStore(open_directory(directory), metadata, "v")


@LAYOUTS
def test_payloads_come_back(metadata: ContainerMetadata, tmp_path: Path) -> None:
    store = make_store(tmp_path, metadata)
    write(store)
    assert list(store.chunks()) == list(PAYLOADS)
    for index, payload in PAYLOADS.items():
        assert store.read(index) == payload
        assert store.read_payload(index).max_error == index[2]
    assert store.largest_stated_error() == 2.0


@LAYOUTS
def test_keys_are_files_and_their_bytes_are_counted(metadata: ContainerMetadata, tmp_path: Path) -> None:
    store = make_store(tmp_path, metadata)
    object_bytes = write(store)
    (tmp_path / METADATA_KEY).write_text(metadata.to_text())
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert set(store.keys()) == files
    assert len(files) == (4 if metadata.shard is None else 3)
    expected = object_bytes + len(metadata.to_text())
    assert store.stored_bytes() == sum((tmp_path / name).stat().st_size for name in files) == expected


def test_bytes_are_counted_in_memory_too() -> None:
    objects = ts.KvStore.open("memory://v/").result()
    store = ContainerStore(objects, METADATA, "v")
    object_bytes = write(store)
    objects.write(METADATA_KEY, METADATA.to_text()).result()
    assert store.stored_bytes() == object_bytes + len(METADATA.to_text())


def test_an_object_is_a_payload_and_its_checksum(tmp_path: Path) -> None:
    write(make_store(tmp_path, METADATA))
    stored = (tmp_path / "c" / "0" / "0" / "1").read_bytes()
    assert stored[:-4] == PAYLOADS[0, 0, 1]
    assert struct.unpack("<I", stored[-4:]) != (0,)


def test_objects_hold_chunks(tmp_path: Path) -> None:
    store = make_store(tmp_path, SHARDED)
    assert list(store.objects()) == [(0, 0, 0), (0, 0, 1)]
    assert store.chunks_of((0, 0, 0)) == [(0, 0, 0), (0, 0, 1)]
    assert store.chunks_of((0, 0, 1)) == [(0, 0, 2)]
    for index in store.objects():
        assert {store.object_of(chunk) for chunk in store.chunks_of(index)} == {index}


@LAYOUTS
def test_missing_objects_are_found(metadata: ContainerMetadata, tmp_path: Path) -> None:
    store = make_store(tmp_path, metadata)
    *_, last = store.objects()
    write(store, skip=last)
    assert not store.is_complete()
    assert store.has_object((0, 0, 0))
    assert not store.has_object(last)
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 2\) of `v` is missing"):
        store.read((0, 0, 2))
    with pytest.raises(FormatError, match="is missing"):
        store.largest_stated_error()
    write(store)
    assert store.is_complete()
    assert store.has_object(last)


@LAYOUTS
@pytest.mark.parametrize("n_bytes", [0, 3, 20, -1])
def test_damaged_objects_are_found(n_bytes: int, metadata: ContainerMetadata, tmp_path: Path) -> None:
    write(make_store(tmp_path, metadata))
    path = tmp_path / "c" / "0" / "0" / "0"
    path.write_bytes(path.read_bytes()[:n_bytes])
    store = make_store(tmp_path, metadata)
    assert store.is_complete()  # damage is not looked for
    assert not store.has_object((0, 0, 0))
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\) of `v` (is damaged|cannot be read)"):
        store.read((0, 0, 0))
    write(store)
    assert store.read((0, 0, 0)) == PAYLOADS[0, 0, 0]


def test_objects_that_hold_no_payload_are_damaged(tmp_path: Path) -> None:
    store = make_store(tmp_path, METADATA)
    store.write_object((0, 0, 0), {(0, 0, 0): b"\x0fno payload"})
    assert store.read((0, 0, 0)) == b"\x0fno payload"
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\) of `v` is damaged: a payload states kind 15"):
        store.read_payload((0, 0, 0))


def test_containers_are_opened_where_their_metadata_are(tmp_path: Path) -> None:
    (tmp_path / METADATA_KEY).write_text(METADATA.to_text())
    for location in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        assert open_container(location).metadata == METADATA
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_container(tmp_path / "nothing")
    (tmp_path / METADATA_KEY).unlink()
    with pytest.raises(FormatError, match=r"it lacks `zarr\.json`"):
        open_container(tmp_path)


@LAYOUTS
def test_an_object_that_is_begun_is_there_when_it_is_stored(
    metadata: ContainerMetadata, tmp_path: Path
) -> None:
    store = make_store(tmp_path, metadata)
    begun = [
        store.begin_object(index, {chunk: PAYLOADS[chunk] for chunk in store.chunks_of(index)})
        for index in store.objects()
    ]
    for _, stored in begun:
        stored.result()
    assert sum(n_bytes for n_bytes, _ in begun) == sum(p.stat().st_size for p in tmp_path.rglob("c/*/*/*"))
    assert all(store.read(index) == payload for index, payload in PAYLOADS.items())
