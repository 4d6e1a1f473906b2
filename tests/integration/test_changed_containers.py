"""Containers give back what was written: chunks and metadata that are not theirs are refused."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from stored_files import read_files
from stored_metadata import CONFIGURATION, change_metadata

import nvc_jax
from nvc_jax.container.chunk_checksum import seal_chunk
from nvc_jax.container.store import open_container

CHUNK = (16, 16, 16)
VOLUME = (np.arange(16 * 32 * 32, dtype=np.float32).reshape(16, 32, 32) ** 1.1).astype(np.float32)
READERS: dict[str, Callable[[Path], Any]] = {
    "open": lambda path: nvc_jax.open(path).read().result(),
    "verify": lambda path: nvc_jax.verify(None, path),
    "info": nvc_jax.info,
    "preview": nvc_jax.preview,
    "zarr": lambda path: zarr.open_array(path, mode="r")[:],
}


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless containers of two volumes of one shape, in chunks and in shards."""
    directory = tmp_path_factory.mktemp("containers")
    for name, volume in (("a", VOLUME), ("b", VOLUME[::-1])):  # of one range
        nvc_jax.compress(volume, directory / f"{name}.zarr", lossless=True, chunks=CHUNK)
        nvc_jax.compress(
            volume, directory / f"{name}-sharded.zarr", lossless=True, chunks=CHUNK, shards=(16, 16, 32)
        )
    return directory


@pytest.fixture
def copies(containers: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(containers, tmp_path / "copies"))


def swap(path: Path, first: str, second: str) -> None:
    """Let two objects of a container change places."""
    contents = (path / first).read_bytes(), (path / second).read_bytes()
    (path / second).write_bytes(contents[0])
    (path / first).write_bytes(contents[1])


@pytest.mark.parametrize("read", READERS)
def test_swapped_chunks_are_refused(read: str, copies: Path) -> None:
    swap(copies / "a.zarr", "c/0/0/1", "c/0/1/0")
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(0, (0, 1|1, 0)\) .*the chunk of another place"):
        READERS[read](copies / "a.zarr")


@pytest.mark.parametrize("read", READERS)
def test_chunks_of_another_container_are_refused(read: str, copies: Path) -> None:
    shutil.copy(copies / "b.zarr/c/0/0/1", copies / "a.zarr/c/0/0/1")
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(0, 0, 1\) .*of another container"):
        READERS[read](copies / "a.zarr")


@pytest.mark.parametrize("read", ["open", "verify", "info"])
def test_swapped_shards_are_refused(read: str, copies: Path) -> None:
    swap(copies / "a-sharded.zarr", "c/0/0/0", "c/0/1/0")
    with pytest.raises(nvc_jax.FormatError, match="the chunk of another place"):
        READERS[read](copies / "a-sharded.zarr")


@pytest.mark.parametrize("read", READERS)
def test_shards_of_another_container_are_refused(read: str, copies: Path) -> None:
    shutil.copy(copies / "b-sharded.zarr/c/0/0/0", copies / "a-sharded.zarr/c/0/0/0")
    with pytest.raises(nvc_jax.FormatError, match="of another container"):
        READERS[read](copies / "a-sharded.zarr")


@pytest.mark.parametrize("read", READERS)
def test_missing_chunks_are_refused(read: str, copies: Path) -> None:
    (copies / "a.zarr/c/0/1/1").unlink()
    with pytest.raises(nvc_jax.FormatError, match=r"0.{1,2}1.{1,2}1\)?.* is missing"):
        READERS[read](copies / "a.zarr")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("shape",), [16, 32, 16]),
        ((*CONFIGURATION, "shape"), [16, 32, 16]),
        (("data_type",), "int32"),
        ((*CONFIGURATION, "range"), [0, 1]),
        ((*CONFIGURATION, "sha256"), "0" * 16),
        ((*CONFIGURATION, "lossless"), None),
        ((*CONFIGURATION, "bound"), 3),
    ],
)
def test_changed_metadata_are_refused(read: str, path: tuple, value: Any, copies: Path) -> None:
    change_metadata(copies / "a.zarr", path, value, seal=False)
    # zarr-python itself refuses a fill value that is none of the dtype.
    with pytest.raises((nvc_jax.FormatError, TypeError)):
        READERS[read](copies / "a.zarr")


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [({}, "range", [0, 2]), ({"step": 0.1}, "step", 0.2), ({"step": 0.1}, "sha256", "two-wide-margin")],
)
def test_changed_metadata_of_networks_are_refused(
    options: dict[str, Any], field: str, value: Any, tmp_path: Path
) -> None:
    nvc_jax.compress(VOLUME[:, :16, :16], tmp_path / "v.zarr", model="zero-margin", **options)
    change_metadata(tmp_path / "v.zarr", (*CONFIGURATION, field), value, seal=False)
    for read in READERS.values():
        with pytest.raises(nvc_jax.FormatError):
            read(tmp_path / "v.zarr")


def test_attributes_may_be_changed(copies: Path) -> None:
    zarr.open_array(copies / "a.zarr", mode="r+").attrs["note"] = "a note"
    np.testing.assert_array_equal(nvc_jax.open(copies / "a.zarr").read().result(), VOLUME)


def test_the_same_volume_and_target_give_the_same_bytes(copies: Path) -> None:
    nvc_jax.compress(VOLUME, copies / "again.zarr", lossless=True, chunks=CHUNK)
    assert read_files(copies / "again.zarr") == read_files(copies / "a.zarr")


@pytest.mark.parametrize("stated", [1e-3, 0.9])
def test_verify_compares_the_error_that_is_stated(stated: float, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    path = tmp_path / "v.zarr"
    nvc_jax.compress(volume, path, step=0.2)
    assert nvc_jax.verify(volume, path)["measured_max_error"] > 0.1
    store = open_container(path)
    payload = bytearray(store.read((0, 0, 0)))
    assert payload[0] & 0xF0 == 0x20  # states an error and nothing else
    struct.pack_into("<d", payload, 1, stated)
    sealed = seal_chunk(bytes(payload), store.metadata.identity, (0, 0, 0), (1, 1, 1))
    (path / "c/0/0/0").write_bytes(sealed)
    with pytest.raises(nvc_jax.FormatError, match=rf"states a largest error of {stated}, but it is 1\."):
        nvc_jax.verify(volume, path)


@pytest.mark.parametrize("options", [{"lossless": True}, {"max_error": 0.01}, {"step": 0.01}, {"psnr": 45}])
def test_metadata_of_the_smallest_containers_are_short(options: dict[str, Any], tmp_path: Path) -> None:
    z, y, x = np.meshgrid(*[np.linspace(0, 3, 16)] * 3, indexing="ij")
    nvc_jax.compress((np.sin(2 * z) + np.cos(3 * y) * x).astype(np.float32), tmp_path / "v.zarr", **options)
    assert (tmp_path / "v.zarr/zarr.json").stat().st_size <= 400
