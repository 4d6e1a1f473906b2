import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nvc_jax.io.lazy import lazy_store, read_region
from nvc_jax.io.volumes import open_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_only_the_chunks_of_a_region_are_read() -> None:
    indices = []

    def read(index: tuple[slice | int, ...]) -> np.ndarray:
        indices.append(index)
        return VOLUME[None][index]

    store = lazy_store(read, (1, 2, 3, 4), VOLUME.dtype, "v", chunk=(1, 1, 3, 4), rank=3)
    assert store.shape == (2, 3, 4)
    np.testing.assert_array_equal(read_region(store, np.s_[1:2, 0:2, 1:3]), VOLUME[1:2, 0:2, 1:3])
    assert [index[:2] for index in indices] == [(0, slice(1, 2))]


def test_a_region_is_read_in_c_order() -> None:
    region = read_region(open_volume(VOLUME.transpose(2, 1, 0)), np.s_[0:4, 0:3, 0:2])
    assert region.flags.c_contiguous
    np.testing.assert_array_equal(region, VOLUME.T)


@pytest.mark.parametrize("name", ["v.npy", "v_4096x4096x4096_uint8.raw"])
def test_a_region_of_a_huge_file_is_read_alone(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        if name == "v.npy":
            header = {"descr": "|u1", "fortran_order": False, "shape": (4096, 4096, 4096)}
            np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + (1 << 36))
        file.seek(-1, 2)
        file.write(b"\7")
    store = open_volume(path)
    assert store[4095, 4094:, 4094:].read().result().tolist() == [[0, 0], [0, 7]]
    assert not store[2000, 77, 1000:1010].read().result().any()


@pytest.mark.parametrize("name", ["v.npy", "v_4x3x2_uint16.raw"])
def test_a_file_does_not_stay_mapped(name: str, tmp_path: Path) -> None:
    write_volume(tmp_path / name, VOLUME)
    store = open_volume(tmp_path / name)
    store.read().result()
    assert name not in Path("/proc/self/maps").read_text()


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    store = open_volume(tmp_path / "v.npy")
    os.truncate(tmp_path / "v.npy", 130)
    with pytest.raises(ValueError, match="mmap length"):
        store.read().result()


@pytest.fixture
def _few_objects() -> Iterator[None]:
    """Let collections of garbage look at what the test makes alone: else each takes a part of a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_few_objects")
def test_a_temporary_copy_has_no_name_and_is_removed_with_the_store(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "v.npz", volume=VOLUME)
    before = _unnamed_files()
    store = open_volume(tmp_path / "v.npz")
    assert len(_unnamed_files() - before) == 1
    view = store[1]
    del store
    gc.collect()
    np.testing.assert_array_equal(view.read().result(), VOLUME[1])
    assert len(_unnamed_files() - before) == 1
    del view
    gc.collect()
    assert not _unnamed_files() - before
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.npz"]


@pytest.mark.usefixtures("_few_objects")
def test_stores_are_dropped_by_any_thread(tmp_path: Path) -> None:
    """Garbage that holds open files is collected by the threads that read other stores."""
    np.savez_compressed(tmp_path / "v.npz", volume=VOLUME)
    tifffile.imwrite(tmp_path / "v.tif", VOLUME, compression="zlib")
    gc.collect()
    before, threads = _open_files(), set()

    def read(index: tuple[slice | int, ...]) -> np.ndarray:
        gc.collect()
        threads.add(threading.get_ident())
        return VOLUME[index]

    reader = lazy_store(read, VOLUME.shape, VOLUME.dtype, "v", chunk=(1, 1, 1))
    gc.disable()
    try:
        for _ in range(3):
            for name in ("v.npz", "v.tif"):
                cycle: list = [open_volume(tmp_path / name), *[reader[0].read() for _ in range(2)]]
                cycle[0].read().result(timeout=30)
                cycle.append(cycle)
            cycle = []
            np.testing.assert_array_equal(reader.read().result(timeout=30), VOLUME)
    finally:
        gc.enable()
    gc.collect()
    assert threads - {threading.get_ident()}
    assert not _open_files() - before


def _open_files() -> set[str]:
    """Open files of this process, by number and what they lead to."""
    links = set()
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            links.add(f"{entry} {os.readlink(f'/proc/self/fd/{entry}')}")
    return {link for link in links if "/v." in link or link.endswith(" (deleted)")}


def _unnamed_files() -> set[str]:
    """Open files of this process that have no name in the file system."""
    links = set()
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            links.add(os.readlink(f"/proc/self/fd/{entry}"))
    return {link for link in links if link.endswith(" (deleted)")}
